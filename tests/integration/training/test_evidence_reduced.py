"""The evidence run for real, in about a minute: directions with a margin, no figures."""

from training.evidence.__main__ import main
from training.evidence.plan import REDUCED, make_plan
from training.evidence.rates import RATES, stage_of
from training.evidence.results import Results


def test_the_price_shortens_signals(tmp_path, capsys, monkeypatch):
    """Data, both models from scratch, and constant lambda without marginal utility."""
    monkeypatch.setattr("training.evidence.runner.TRAINING", 200)
    monkeypatch.setattr("training.evidence.runner.HELD", (("validation", 20), ("test", 20)))
    command = ["--scale", "reduced", "--results", str(tmp_path / "results")]
    command += ["--work", str(tmp_path / "work"), "--to", str(tmp_path / "EVIDENCE.md")]
    results = Results(tmp_path / "results", tmp_path / "work")
    # Rates are not tried here: the reduced run has one of its own for all.
    curves = {"validation/accuracy": [[5, 0.5]], "validation/response_tokens": [[5, 9.0]]}
    for rate in RATES:
        found = {"curves": {**curves, "tokens/response": [[1, 9.0]]}, "steps": 5}
        results.write(stage_of("duet", rate), {"result": found, "minutes": 0.0, "whole": True})
    for stages in ("data", "start", "neither-0"):
        assert main([*command, "--only", stages]) == 0, capsys.readouterr().err
    curves = results.read("neither-0")["result"]["curves"]
    lengths = [length for _, length in curves["tokens/length"]]
    assert len(lengths) == REDUCED.ablation_steps
    assert lengths[-1] < 0.8 * lengths[0]
    assert {price for _, price in curves["price"]} == {1.0}
    text = (tmp_path / "EVIDENCE.md").read_text()
    assert f"6 of {len(make_plan(REDUCED))} stages were run" in text
