"""Baselines with real Ray and VERL on a tiny random model: the reasoner is trained by itself."""

import json
import os

import pytest
import ray

from duet_training.rl.algorithms import SingleAlgorithm
from duet_training.rl.baselines import BASELINES
from duet_training.rl.timing import Clock
from duet_training.rl.trainer import Trainer
from tests.doubles.commands import train_evaluate as evaluate
from tests.doubles.small_runs import metrics_of, on_running, settings_of
from tests.doubles.verifiers import DigitVerifier

TWO_RANKS = ("hardware.devices=2",)


@pytest.fixture(scope="module")
def alone(prepared):
    """A reasoner that two ranks of one node train by itself; started once for all baselines."""
    tuning = ["objective.kl.coefficient=0", "track=[]", "thinkprune.start=14", "thinkprune.floor=5"]
    tuning += ["thinkprune.less=2", "thinkprune.every=1"]
    trainer = Trainer(
        settings_of(prepared, "alone", *TWO_RANKS, "method=thinkprune", "steps=2", *tuning)
    )
    yield prepared, trainer, tuning
    trainer.close()


def test_a_baseline_trains_the_reasoner_and_starts_no_decoder(alone, capsys):
    home, trainer, _ = alone
    assert set(trainer.policies) == {"reasoner"}
    # A server for each rank; a decoder's would count from 1000.
    servers = [name for name in ray.util.list_named_actors() if name.startswith("duet_rollout")]
    assert sorted(servers) == ["duet_rollout_0", "duet_rollout_1"]
    workers = trainer.policies["reasoner"].workers.workers
    asked = [worker.__ray_call__.remote(lambda _: os.getpid()) for worker in workers]
    assert len(set(ray.get(asked))) == 2
    DigitVerifier.never = True
    try:
        trainer.step()
    finally:
        DigitVerifier.never = False
    # Nothing is right, so all rewards are equal: a warning, and nothing is learned.
    assert "WARNING: no answer to any of the 2 questions was right" in capsys.readouterr().out
    trainer.run()
    first, second = metrics_of(home, "alone")
    assert (first["reward/right"], first["reasoner/tied_groups"]) == (0, 1)
    assert first["reasoner/grad_norm"] == 0
    assert second["reasoner/grad_norm"] > 0
    assert (first["tokens/limit"], second["tokens/limit"]) == (14, 12)
    assert first["tokens/response"] <= 14
    assert second["tokens/response"] <= 12
    assert first["lambda"] == second["lambda"] == trainer.state.penalty == 0
    assert "validation/accuracy" in second
    assert "decoder/log_prob_difference" not in first
    saved = home / "alone/checkpoints/step_2"
    assert (saved / "reasoner").is_dir()
    assert not (saved / "decoder").exists()
    sample = json.loads((home / "alone/samples.jsonl").read_text().splitlines()[0])
    assert {"question", "signal", "response", "score"} <= set(sample)


@pytest.mark.parametrize("method", ["single", "lgrpo"])
def test_the_other_baselines_train_on_the_same_processes(alone, method):
    home, trainer, tuning = alone
    settings = settings_of(home, method, f"method={method}", "top_k=8", "top_p=0.9", *tuning)
    algorithm = SingleAlgorithm(
        BASELINES[method](settings),
        settings,
        trainer.policies,
        trainer._prompts,
        trainer._verifiers,
    )
    done = algorithm.step(trainer.problems[:2], 1, 0.5, Clock())
    metrics = done.update.metrics
    assert metrics["reasoner/log_prob_difference"] < 1e-4
    assert 0 < metrics["tokens/length"] <= 16
    if method == "single":
        expected = metrics["reward/right"] - 0.5 * metrics["tokens/length"] / 12
        assert metrics["reward/reasoner"] == pytest.approx(expected)
    else:
        assert metrics["reward/reasoner"] <= metrics["reward/right"]


def test_a_baseline_is_evaluated_on_its_reasoner_alone(alone, monkeypatch, capsys):
    """Through the command, on the policies that run already; another engine is not asked for."""
    home, trainer, _ = alone
    asked = on_running(trainer, monkeypatch)
    out = home / "alone.json"
    command = [
        f"pair={home}/pair/pair.yaml",
        f"data.train={home}/data/validation.parquet",
        f"weights={home}/alone/checkpoints/step_2",
        f"out={out}",
        "runs=2",
        "tokens.response=16",
        *TWO_RANKS,
    ]
    assert evaluate([*command, "method=thinkprune"]) == 0
    assert asked == [["reasoner"]]
    result = json.loads(out.read_text())
    assert result["decoder_tokens"] == 0
    assert result["flops"]["decoder"] == 0
    assert 0 < result["reasoner_tokens"] <= 16
    assert len(result["by_run"]) == 2
    assert result["over_runs"]["accuracy"]["std"] is not None
    assert result["seconds"] == pytest.approx(
        sum(run["seconds"] for run in result["by_run"]), abs=1e-5
    )
    assert (result["settings"]["top_p"], result["settings"]["top_k"]) == (0.95, 20)
    # What such a run did not train is not taken from it.
    assert evaluate([*command, "method=duet"]) == 1
    assert "decoder" in capsys.readouterr().err
