"""Joint training with real Ray and VERL on tiny random models."""

import io
import json
import os
import resource
import shlex
import shutil
import signal
from contextlib import redirect_stderr
from itertools import count, pairwise

import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from duet_contract.integrity import verify_files
from duet_contract.manifest import load_manifest
from duet_training.errors import CheckpointError, ConfigError, DivergenceError
from duet_training.rl.trainer import Trainer
from duet_training.verl_backend.policy import Policy
from tests.doubles.commands import train_batch as evaluations
from tests.doubles.commands import train_evaluate as evaluate
from tests.doubles.commands import train_export as export
from tests.doubles.commands import train_report as report
from tests.doubles.commands import train_run as train
from tests.doubles.small_runs import metrics_of, on_running, overrides_of, settings_of
from tests.doubles.verifiers import DigitVerifier

EXPORT = [
    *("quantizations=[Q8_0]", "threads=1", "limits.question=200"),
    # Random models are never sure of a token.
    *("parity.min_top1.reasoner=0", "parity.min_top1.Q8=0"),
]


def _process(policy):
    """The process of a policy's only worker."""
    (worker,) = policy.workers.workers
    return ray.get(worker.__ray_call__.remote(lambda _: os.getpid()))


@pytest.fixture(scope="module")
def ended(prepared):
    """Through the command: four steps without interruption; in the fifth a worker is killed.

    Its exit code, and the last line that it wrote.
    """
    update, numbers = Policy.update, count(1)

    def killed(policy, *arguments):
        # The decoder is updated already: this is the middle of the step.
        if policy.name == "reasoner" and next(numbers) == 5:
            os.kill(_process(policy), signal.SIGKILL)
        return update(policy, *arguments)

    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as said:
        patch.setattr(Policy, "update", killed)
        code = train(overrides_of(prepared, "whole", "steps=5"))
    return code, said.getvalue().splitlines()[-1]


@pytest.fixture(scope="module")
def finished(prepared, ended):
    """Where `whole` is: a run whose first four steps nothing disturbed."""
    return prepared


def test_a_worker_that_is_killed_in_a_step_ends_the_run(finished, ended):
    code, said = ended
    assert code == 1
    assert said.startswith("duet-train: a worker died in step 5 (Actor")
    assert said.endswith("resume=true continues from the last checkpoint")
    # Nothing of the step is left, and what was saved before it is whole.
    assert [row["step"] for row in metrics_of(finished, "whole")] == [1, 2, 3, 4]
    saved = {path.name for path in (finished / "whole/checkpoints").iterdir()}
    assert saved == {"step_2", "step_4"}


def test_a_run_writes_what_it_did(finished):
    rows = metrics_of(finished, "whole")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["reasoner/log_prob_difference"] < 1e-4
        assert row["decoder/log_prob_difference"] < 1e-4
    assert rows[0]["reasoner/kl"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["reasoner/kl"] != 0
    assert any(0 < row["reward/guided"] < 1 for row in rows)
    assert any(row["decoder/grad_norm"] > 0 for row in rows)
    assert all(0 <= row["reward/alone"] <= 1 for row in rows)
    assert "validation/accuracy" in rows[1]
    assert "validation/accuracy" not in rows[0]
    # lambda moves by rate x (length / budget - 1), clipped at 0.
    for now, then in pairwise(rows):
        moved = now["lambda"] + 0.1 * (now["tokens/length"] / 12 - 1)
        assert then["lambda"] == pytest.approx(min(max(moved, 0), 1))
    for line in (finished / "whole/metrics.jsonl").read_text().splitlines():
        seconds = {k: v for k, v in json.loads(line).items() if k.startswith("seconds/")}
        whole, driver = seconds.pop("seconds/step"), seconds.pop("seconds/driver")
        assert {"seconds/generate", "seconds/log_probs", "seconds/update"} <= seconds.keys()
        assert 0 < sum(seconds.values()) <= whole
        assert 0 < driver < whole
    assert (finished / "whole/tensorboard").is_dir()
    sample = json.loads((finished / "whole/samples.jsonl").read_text().splitlines()[0])
    assert {"question", "signal", "answer", "score"} <= set(sample)


def test_a_run_is_not_overwritten(finished):
    with pytest.raises(ConfigError, match="resume=true"):
        Trainer(settings_of(finished, "whole"))


def test_a_checkpoint_of_another_configuration_is_refused(finished):
    changed = settings_of(finished, "whole", "resume=true", "objective.budget=13")
    with pytest.raises(CheckpointError, match=r"objective.budget is 12.0 there and 13.0 here"):
        Trainer(changed)


@pytest.fixture(scope="module")
def resumed(finished):
    """Files of a run that was killed while it wrote step 3, and was continued."""
    run = finished / "killed"
    shutil.copytree(finished / "whole", run)
    shutil.rmtree(run / "checkpoints/step_4")
    (run / "checkpoints/step_4.partial").mkdir()
    rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(rows[:2]) + rows[2][:40])
    trainer = Trainer(settings_of(finished, "killed", "resume=true"))
    try:
        assert trainer.state.step == 2
        trainer.run()
        yield trainer
    finally:
        trainer.close()


EVALUATED = ["runs=2", "tokens.response=16", "tokens.answer=12", "tokens.decoder_prompt=160"]


@pytest.fixture(scope="module")
def evaluated(finished, resumed):
    """Overrides of an evaluation of what was trained, and its file; by the processes that run."""
    command = [
        f"pair={finished}/pair/pair.yaml",
        f"data.train={finished}/data/validation.parquet",
        f"weights={finished}/whole/checkpoints/step_4",
        *EVALUATED,
    ]
    out = finished / "result.json"
    with pytest.MonkeyPatch.context() as patch:
        on_running(resumed, patch)
        assert evaluate([*command, "method=duet", f"out={out}"]) == 0
    return command, out


class TestResumed:
    """One start for all of them; each leaves the processes as it found them but the last."""

    def test_a_killed_run_goes_on_as_if_nothing_had_happened(self, finished, resumed):
        assert resumed.state.step == 4
        assert metrics_of(finished, "killed") == metrics_of(finished, "whole")

    def test_a_server_with_other_weights_is_noticed(self, resumed):
        decoder = resumed.policies["decoder"]
        decoder.to_rollout(4)
        decoder.check_in_sync()
        (replica,) = decoder._servers.get_replicas()
        other = {"model.norm.weight": torch.full((32,), 1.5)}
        ray.get(replica.servers[0].update_weights.remote(other))
        with pytest.raises(DivergenceError, match=r"decoder's rollout .* model.norm.weight and 0"):
            decoder.check_in_sync()
        decoder.to_rollout(4)
        decoder.check_in_sync()
        decoder.rest()

    def test_a_disk_that_fills_up_leaves_what_was_saved(self, finished, resumed):
        checkpoints = finished / "killed/checkpoints"
        before = {path: path.stat().st_mtime_ns for path in checkpoints.rglob("*")}
        worker = _process(resumed.policies["reasoner"])
        # No file of the worker may grow beyond 100 kB; its model has 330 kB.
        free = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (100_000, free[1]))
        try:
            with pytest.raises(CheckpointError, match=r"cannot save step 4 .* is of step 4"):
                resumed._checkpoints.save(resumed.state, resumed.policies)
        finally:
            resource.prlimit(worker, resource.RLIMIT_FSIZE, free)
        assert {path: path.stat().st_mtime_ns for path in checkpoints.rglob("*")} == before
        resumed._checkpoints.save(resumed.state, resumed.policies)

    def test_rewards_that_are_no_numbers_stop_the_run(self, finished, resumed):
        DigitVerifier.broken = True
        try:
            with pytest.raises(DivergenceError, match="step 5: .* is not a finite number"):
                resumed.step()
        finally:
            DigitVerifier.broken = False
        assert [row["step"] for row in metrics_of(finished, "killed")] == [1, 2, 3, 4]


def test_the_whole_loop(finished, resumed, evaluated):
    """What was trained is evaluated, exported, compared and reported, each by its command."""
    common, out = evaluated
    resumed.close()
    result = json.loads(out.read_text())
    assert result["questions"] == 3
    low, high = result["accuracy_95"]
    assert 0 <= low <= result["accuracy"] <= high <= 1
    assert 0 < result["reasoner_tokens"] <= 16
    assert 0 < result["decoder_tokens"] <= 12

    # Several share processes of their own, and say what each says by itself.
    asked = finished / "asked.txt"
    methods = ("original", "signal")
    shared = [finished / f"shared-{method}.json" for method in methods]
    lines = [
        [*common, f"method={method}", f"out={file}"]
        for method, file in zip(methods, shared, strict=True)
    ]
    asked.write_text("\n".join(map(shlex.join, lines)))
    assert evaluations([str(asked)]) == 0
    other, same = (json.loads(file.read_text()) for file in shared)
    assert other["settings"]["method"] == "original"
    assert other["decoder_tokens"] == 0
    for key in ("accuracy", "reasoner_tokens", "decoder_tokens"):
        assert same[key] == result[key]
    assert same["signal"]["decoder"].keys() == same["signal"]["untouched"].keys()

    pair = finished / "trained"
    command = [str(finished / "whole"), str(pair), f"figures.split={out}", *EXPORT]
    assert export([*command, f"parity.data={finished}/data/validation.parquet"]) == 0
    manifest = load_manifest(pair)
    verify_files(pair, (*manifest.reasoner.files, *manifest.decoder.files))
    assert manifest.shared_vocabulary
    assert manifest.evaluation[0].accuracy == pytest.approx(result["accuracy"])
    parity = json.loads((pair / "parity.json").read_text())
    assert parity["step"] == 4
    assert 0 < parity["decoder"]["Q8_0"]["mean_kl"] < 0.02
    assert parity["beyond"] == []

    page = finished / "report"
    assert report([str(out), str(finished / "whole"), "--out", str(page)]) == 0
    assert "| duet |" in (page / "report.md").read_text()
    assert (page / "curves.svg").is_file()


@pytest.fixture
def two_nodes(monkeypatch):
    """A Ray cluster of two nodes, as far as one machine can be two; neither holds both ranks."""
    # Two for a rank of each policy, one for what asks by the way.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3})
    cluster.add_node(num_cpus=3)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield
    ray.shutdown()
    cluster.shutdown()


def _node(_worker):
    return ray.get_runtime_context().get_node_id()


def test_every_other_way(finished, two_nodes):
    """Two nodes, one pool, unlike vocabularies, and the other value of most switches."""
    settings = settings_of(
        finished,
        "other",
        "steps=1",
        "hardware.nodes=2",
        "hardware.shared_pool=true",
        "batch.mini_batch=2",
        "objective.counted=signal",
        "objective.baseline=none",
        "objective.reward=dense",
        "objective.read=prefix",
        "objective.divide_by_std=false",
        "objective.stop_at_end_of_reasoning=true",
        "objective.decoder_learns_from=guided_and_alone",
        "objective.kl.coefficient=0",
        "objective.length_penalty.schedule=constant",
        "objective.length_penalty.start=0.5",
        "validate.every=0",
        "track=[]",
        pair="unlike",
    )
    trainer = Trainer(settings)
    try:
        for policy in trainer.policies.values():
            asked = [worker.__ray_call__.remote(_node) for worker in policy.workers.workers]
            assert len(set(ray.get(asked))) == 2
        trainer.run()
    finally:
        trainer.close()
    rows = metrics_of(finished, "other")
    assert [row["lambda"] for row in rows] == [0.5]
    assert trainer.state.penalty == 0.5
    assert all(row["reasoner/kl"] == 0 for row in rows)
    assert all(row["decoder/log_prob_difference"] < 1e-4 for row in rows)
    # The references are short, and the models know nothing: some nats for each of their tokens.
    assert all(-200 < row["reward/dense"] < -10 for row in rows)

    # What two ranks saved becomes a pair, whose signals travel as text.
    out = finished / "exported"
    command = [str(finished / "other"), str(out), *EXPORT]
    assert export([*command, f"parity.data={finished}/data/validation.parquet"]) == 0
    manifest = load_manifest(out)
    verify_files(out, (*manifest.reasoner.files, *manifest.decoder.files))
    assert not manifest.shared_vocabulary
    parity = json.loads((out / "parity.json").read_text())
    assert 0 < parity["decoder"]["Q8_0"]["mean_kl"] < 0.02
