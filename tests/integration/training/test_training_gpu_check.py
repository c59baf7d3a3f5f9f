"""The check of a GPU, its three steps on the CPU."""

import json

from tests.doubles.commands import train_gpu_check as main


def test_the_same_three_steps_run_without_a_gpu(tmp_path, capsys):
    out = tmp_path / "check"
    assert main([str(out), "hardware=cpu"]) == 0
    report = json.loads((out / "gpu-check.json").read_text())
    assert len(report["steps"]) == 3
    step = [
        *("reasoner's weights to its server", "reasoner generates"),
        *("decoder's weights to its server", "decoder generates"),
        *("decoder's log-probs", "decoder learns"),
        # Of the trained model and of the initial one.
        *("reasoner's log-probs", "reasoner's log-probs", "reasoner learns"),
    ]
    assert [phase["name"] for phase in report["timeline"]] == [*step * 3, "checkpoint"]
    assert all(phase["seconds"] > 0 for phase in report["timeline"])
    assert report["steps"][1]["reasoner/grad_norm"] > 0
    assert report["estimated_gib"] == {}
    assert (out / "run/checkpoints/step_3/state.json").is_file()
    assert "| decoder learns |" in capsys.readouterr().out
