"""The check of a GPU with simulated steps and memory."""

import json
import sys
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from duet_training.errors import ClusterError
from duet_training.preflight import gpu_check as module
from duet_training.preflight.phase_recorder import PhaseRecorder, smi_command, watched
from tests.doubles.commands import train_gpu_check as main

GPU = {"name": "H100", "gib": 80.0, "capability": "9.0"}
PHASES = [
    *("reasoner's weights to its server", "reasoner generates"),
    *("decoder's weights to its server", "decoder generates"),
    *("decoder's log-probs", "decoder learns", "reasoner's log-probs", "reasoner learns"),
]


@pytest.fixture
def gpu(monkeypatch):
    """A GPU whose steps only pass through their phases; `use` is the GiB in use in each."""
    use = {phase: 20.0 if phase.endswith("generates") else 5.0 for phase in PHASES}
    stand_in = SimpleNamespace(use=use, fails=None, peak=2.0)

    def steps(settings, recorder, rows):
        policy = SimpleNamespace(peak_memory=lambda: stand_in.peak)
        recorder.policies = {"reasoner": policy, "decoder": policy}
        for step in range(1, settings.steps + 1):
            for phase in PHASES:
                with recorder(phase):
                    recorder.saw(1.0)
                    recorder.saw(stand_in.use[phase])
                    recorder.saw(3.0)
                if stand_in.fails == (step, phase):
                    raise ClusterError(f"a worker failed in step {step} (out of memory)")
            rows.append({"seconds/step": 1.0})

    monkeypatch.setattr(module, "devices", lambda: [GPU])
    monkeypatch.setattr(module, "_steps", steps)
    monkeypatch.setattr(module, "watched", lambda _: nullcontext())
    return stand_in


def test_without_a_gpu_it_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "check")]) == 4
    error = capsys.readouterr().err
    assert error.startswith("duet-train: PyTorch finds no GPU here (torch ")
    assert error.endswith(f"duet-train gpu-check {tmp_path}/check hardware=cpu\n")
    assert error.count("\n") == 1
    assert not (tmp_path / "check").exists()


def test_three_steps_are_timed_and_compared(gpu, tmp_path, capsys):
    out = tmp_path / "check"
    assert main([str(out)]) == 0
    said = capsys.readouterr().out
    assert f"3 steps; send us {out}/gpu-check.json" in said
    report = json.loads((out / "gpu-check.json").read_text())
    assert len(report["steps"]) == 3
    assert [phase["name"] for phase in report["timeline"]] == PHASES * 3
    for phase in report["timeline"]:
        assert phase["device_gib"] == gpu.use[phase["name"]]
        learns = phase["name"].endswith(("learns", "log-probs"))
        assert phase["trainer_gib"] == (2.0 if learns else None)
    # 0.3 of the device is the server's; weights are a thousandth of a GiB.
    assert report["estimated_gib"]["reasoner generates"] == pytest.approx(24 + 2 + 2, abs=0.1)
    assert report["settings"]["hardware"]["name"] == "gpu1"
    assert report["gpus"] == [GPU]
    assert (report["error"], report["more_than_estimated"]) == (None, [])
    assert "| reasoner generates |" in said


def test_more_memory_than_estimated_is_another_exit_code(gpu, tmp_path, capsys):
    gpu.use["reasoner generates"] = 28 * 1.1 + 0.6
    assert main([str(tmp_path / "check")]) == 3
    assert "more memory than estimated: reasoner generates" in capsys.readouterr().out


def test_a_step_that_fails_is_reported(gpu, tmp_path, capsys):
    """The second step's, as the first hides it."""
    gpu.fails = (2, "reasoner generates")
    out = tmp_path / "check"
    assert main([str(out)]) == 1
    error = capsys.readouterr().err
    assert error == (
        f"duet-train: a worker failed in step 2 (out of memory); send us {out}/gpu-check.json\n"
    )
    report = json.loads((out / "gpu-check.json").read_text())
    assert report["error"] == "a worker failed in step 2 (out of memory)"
    assert len(report["timeline"]) == len(PHASES) + 2


def test_an_earlier_check_is_not_overwritten(gpu, tmp_path, capsys):
    assert main([str(tmp_path)]) == 0
    before = (tmp_path / "gpu-check.json").read_text()
    assert main([str(tmp_path)]) == 1
    assert "holds an earlier check: name another directory" in capsys.readouterr().err
    assert (tmp_path / "gpu-check.json").read_text() == before


def test_readings_come_from_a_program():
    """Lines as nvidia-smi prints them, a device each."""
    recorder = PhaseRecorder()
    program = "import time\nfor _ in range(4000): print('1024\\n2048\\n[N/A]', flush=True); time.sleep(.02)"
    with watched(recorder, (sys.executable, "-c", program)), recorder("decoder learns"):
        until = time.monotonic() + 60
        while recorder._now.device_gib != 2.0 and time.monotonic() < until:
            time.sleep(0.01)
    assert recorder.peaks() == {"decoder learns": 2.0}


@pytest.mark.parametrize(
    ("visible", "chosen"), [(None, []), ("", []), ("2,3", ["--id=2,3"]), ("GPU-1", ["--id=GPU-1"])]
)
def test_memory_of_devices_of_other_runs_is_not_read(visible, chosen, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [word for word in smi_command() if word.startswith("--id")] == chosen


def test_without_the_program_there_are_no_readings():
    recorder = PhaseRecorder()
    with watched(recorder, ("no-such-program",)), recorder("decoder learns"):
        pass
    assert recorder.peaks() == {}
    assert recorder.timeline()[0]["seconds"] >= 0
