"""Joint training with real Ray and VERL on tiny random models."""

import json
import shutil
from itertools import pairwise

import pytest
import ray

from duet_contract.integrity import verify_files
from duet_contract.manifest import load_manifest
from tests.doubles.verifiers import DigitVerifier
from training.baselines.registry import make_baseline
from training.data.__main__ import main as prepare
from training.errors import CheckpointError, ConfigError, DivergenceError
from training.evaluate import main as evaluate
from training.export.__main__ import main as export
from training.solo import Solo
from training.timing import Clock
from training.tiny import make_tiny_pair
from training.train import settings_from
from training.trainer import Trainer

SMALL = [
    "steps=4",
    "batch.questions=2",
    "batch.signals=4",
    "batch.answers=2",
    "batch.mini_batch=1",
    "tokens.response=16",
    "tokens.answer=12",
    "tokens.decoder_prompt=160",
    "checkpoint.every=2",
    "validate.every=2",
    "validate.questions=4",
    "learning_rate.reasoner=1e-3",
    "learning_rate.decoder=1e-3",
    "objective.budget=12",
    "objective.price.rate=0.1",
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A tiny pair and data whose answers random models get right now and then."""
    home = tmp_path_factory.mktemp("training")
    make_tiny_pair(home / "pair")
    make_tiny_pair(home / "unlike", alike=False)
    rows = [{"question": f"what is {i} + 2?", "answer": str(i + 2)} for i in range(30)]
    (home / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command = ["jsonl", "--from", str(home / "own.jsonl"), "--out", str(home / "data")]
    assert prepare([*command, "--verifier", "tests.doubles.verifiers:DigitVerifier"]) == 0
    return home


def _settings(home, run, *more, pair="pair"):
    return settings_from(
        [
            f"pair={home}/{pair}/pair.yaml",
            f"data.train={home}/data/train.parquet",
            f"data.validation={home}/data/validation.parquet",
            f"out={home}/{run}",
            *SMALL,
            *more,
        ]
    )


def _metrics(home, run):
    lines = (home / run / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if not k.startswith("seconds/")} for row in rows]


@pytest.fixture(scope="module")
def finished(prepared):
    """Four steps without interruption."""
    trainer = Trainer(_settings(prepared, "whole"))
    try:
        trainer.run()
    finally:
        trainer.close()
    return prepared


def test_a_run_writes_what_it_did(finished):
    rows = _metrics(finished, "whole")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["reasoner/log_prob_difference"] < 1e-4
        assert row["decoder/log_prob_difference"] < 1e-4
    assert rows[0]["reasoner/kl"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["reasoner/kl"] != 0
    assert any(0 < row["reward/guided"] < 1 for row in rows)
    assert any(row["decoder/grad_norm"] > 0 for row in rows)
    assert "validation/accuracy" in rows[1]
    assert "validation/accuracy" not in rows[0]
    # lambda moves by rate x (length / budget - 1), clipped at 0.
    for now, then in pairwise(rows):
        moved = now["price"] + 0.1 * (now["tokens/length"] / 12 - 1)
        assert then["price"] == pytest.approx(min(max(moved, 0), 1))
    assert (finished / "whole/tensorboard").is_dir()
    sample = json.loads((finished / "whole/samples.jsonl").read_text().splitlines()[0])
    assert {"question", "signal", "answer", "score"} <= set(sample)


def test_a_run_is_not_overwritten(finished):
    with pytest.raises(ConfigError, match="resume=true"):
        Trainer(_settings(finished, "whole"))


def test_a_checkpoint_of_another_configuration_is_refused(finished):
    changed = _settings(finished, "whole", "resume=true", "objective.budget=13")
    with pytest.raises(CheckpointError, match=r"objective.budget is 12.0 there and 13.0 here"):
        Trainer(changed)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(finished):
    # What a run that was killed after step 2 leaves behind.
    shutil.copytree(finished / "whole", finished / "killed")
    shutil.rmtree(finished / "killed/checkpoints/step_4")
    trainer = Trainer(_settings(finished, "killed", "resume=true"))
    try:
        assert trainer.state.step == 2
        trainer.run()
        assert _metrics(finished, "killed") == _metrics(finished, "whole")

        # The same processes then meet NaN, and a worker that dies in the middle of a step.
        DigitVerifier.broken = True
        with pytest.raises(DivergenceError, match="not a finite number"):
            trainer.step()
        DigitVerifier.broken = False
        ray.kill(trainer.policies["reasoner"].workers.workers[0])
        with pytest.raises(ray.exceptions.RayActorError):
            trainer.step()
    finally:
        DigitVerifier.broken = False
        trainer.close()
    assert (finished / "killed/checkpoints/step_4/state.json").is_file()


def test_a_checkpoint_is_evaluated(finished):
    """Through the command, on the validation split."""
    out = finished / "result.json"
    command = [
        f"pair={finished}/pair/pair.yaml",
        f"data.train={finished}/data/validation.parquet",
        f"weights={finished}/whole/checkpoints/step_4",
        f"out={out}",
        "runs=2",
        "tokens.response=16",
        "tokens.answer=12",
        "tokens.decoder_prompt=160",
    ]
    assert evaluate([*command, "method=duet"]) == 0
    result = json.loads(out.read_text())
    assert result["questions"] == 3
    low, high = result["accuracy_95"]
    assert 0 <= low <= result["accuracy"] <= high <= 1
    assert 0 < result["reasoner_tokens"] <= 16
    assert 0 < result["decoder_tokens"] <= 12


def test_every_other_way(finished):
    """Two ranks, one pool, unlike vocabularies, and the other value of most switches."""
    settings = _settings(
        finished,
        "other",
        "steps=1",
        "hardware.devices=2",
        "hardware.shared_pool=true",
        "batch.mini_batch=2",
        "objective.counted=signal",
        "objective.baseline=none",
        "objective.length_on_success_only=true",
        "objective.divide_by_std=false",
        "objective.stop_at_end_of_reasoning=true",
        "objective.decoder_learns_from=guided_and_alone",
        "objective.kl.coefficient=0",
        "objective.price.schedule=constant",
        "objective.price.start=0.5",
        "validate.every=0",
        "track=[]",
        pair="unlike",
    )
    trainer = Trainer(settings)
    try:
        trainer.run()
    finally:
        trainer.close()
    rows = _metrics(finished, "other")
    assert [row["price"] for row in rows] == [0.5]
    assert trainer.state.price == 0.5
    assert all(row["reasoner/kl"] == 0 for row in rows)
    assert all(row["decoder/log_prob_difference"] < 1e-4 for row in rows)

    # What two ranks saved becomes a pair, whose signals travel as text.
    out = finished / "exported"
    limits = [f"parity.min_top1.{name}=0" for name in ("reasoner", "Q8")]
    limits.append("limits.question=200")
    command = [str(finished / "other"), str(out), "quantizations=[Q8_0]", "threads=1", *limits]
    assert export([*command, f"parity.data={finished}/data/validation.parquet"]) == 0
    manifest = load_manifest(out)
    verify_files(out, (*manifest.reasoner.files, *manifest.decoder.files))
    assert not manifest.shared_vocabulary
    report = json.loads((out / "parity.json").read_text())
    assert 0 < report["decoder"]["Q8_0"]["mean_kl"] < 0.02


@pytest.fixture(scope="module")
def alone(finished, tmp_path_factory):
    """A reasoner that is trained by itself; started once for all baselines."""
    tuning = ["objective.kl.coefficient=0", "track=[]", "thinkprune.start=14", "thinkprune.floor=5"]
    tuning += ["thinkprune.less=2", "thinkprune.every=1"]
    trainer = Trainer(_settings(finished, "alone", "method=thinkprune", "steps=2", *tuning))
    yield finished, trainer, tuning
    trainer.close()


def test_a_baseline_trains_the_reasoner_and_starts_no_decoder(alone, capsys):
    home, trainer, _ = alone
    assert set(trainer.policies) == {"reasoner"}
    assert [name for name in ray.util.list_named_actors() if name.startswith("duet_rollout")] == [
        "duet_rollout_0"
    ]
    DigitVerifier.never = True
    try:
        trainer.step()
    finally:
        DigitVerifier.never = False
    # Nothing is right, so all rewards are equal: a warning, and nothing is learnt.
    assert "WARNING: no answer to any of the 2 questions was right" in capsys.readouterr().out
    trainer.run()
    first, second = _metrics(home, "alone")
    assert (first["reward/right"], first["reasoner/tied_groups"]) == (0, 1)
    assert first["reasoner/grad_norm"] == 0
    assert second["reasoner/grad_norm"] > 0
    assert (first["tokens/limit"], second["tokens/limit"]) == (14, 12)
    assert first["tokens/response"] <= 14
    assert second["tokens/response"] <= 12
    assert first["price"] == second["price"] == trainer.state.price == 0
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
    settings = _settings(home, method, f"method={method}", "top_k=8", "top_p=0.9", *tuning)
    learner = Solo(
        make_baseline(settings),
        settings,
        trainer.policies,
        trainer._prompts,
        trainer._verifiers,
    )
    done = learner.step(trainer.problems[:2], 1, 0.5, Clock())
    metrics = done.learnt.metrics
    assert metrics["reasoner/log_prob_difference"] < 1e-4
    assert 0 < metrics["tokens/length"] <= 16
    if method == "single":
        expected = metrics["reward/right"] - 0.5 * metrics["tokens/length"] / 12
        assert metrics["reward/reasoner"] == pytest.approx(expected)
    else:
        assert metrics["reward/reasoner"] <= metrics["reward/right"]


def test_a_baseline_is_evaluated_on_its_reasoner_alone(alone, monkeypatch):
    """Through the command, on the policies that run already; another engine is not asked for."""
    home, trainer, _ = alone
    asked = []

    def running(settings, pair, names, *, reference):
        asked.append((tuple(names), reference))
        return {name: trainer.policies[name] for name in names}

    monkeypatch.setattr("training.evaluate.start_policies", running)
    monkeypatch.setattr("training.evaluate.ray.shutdown", lambda: None)
    out = home / "alone.json"
    command = [
        f"pair={home}/pair/pair.yaml",
        f"data.train={home}/data/validation.parquet",
        f"weights={home}/alone/checkpoints/step_2",
        f"out={out}",
        "runs=2",
        "tokens.response=16",
    ]
    assert evaluate([*command, "method=thinkprune"]) == 0
    assert asked == [(("reasoner",), False)]
    result = json.loads(out.read_text())
    assert result["decoder_tokens"] == 0
    assert result["flops"]["decoder"] == 0
    assert 0 < result["reasoner_tokens"] <= 16
    assert len(result["by_run"]) == 2
    assert result["over_runs"]["accuracy"]["std"] is not None
    assert result["seconds"] == pytest.approx(sum(run["seconds"] for run in result["by_run"]))
    assert (result["settings"]["top_p"], result["settings"]["top_k"]) == (0.95, 20)
    # What such a run did not train is not taken from it.
    assert evaluate([*command, "method=duet"]) == 1
