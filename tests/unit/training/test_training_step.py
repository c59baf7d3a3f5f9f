"""Parts of a step that need no engine: order, seeds, fitting signals, sampler, alarms, log."""

import json
import time

import pytest
import torch

from duet_training.data.rows import Problem
from duet_training.data.selection import problems_of_step
from duet_training.errors import ConfigError, DataError, DivergenceError
from duet_training.rl.metrics_log import MetricsLog, read_metrics_log
from duet_training.rl.monitors import agree, finite, log_prob_differences, nothing_to_learn
from duet_training.rl.sampling import fit_signal, seeds
from duet_training.verl_backend.cluster import ray_logs, worker_failed
from duet_training.verl_backend.cpu.rollout import digest
from duet_training.verl_backend.cpu.sampler import SeededSampler, likeliest
from duet_training.verl_backend.generation import Response
from tests.doubles.commands import train_run

PROBLEMS = [Problem(str(i), f"q{i}", "1", "s") for i in range(10)]


def test_an_epoch_shows_every_problem_at_most_once():
    shown = [p.id for step in (1, 2, 3) for p in problems_of_step(PROBLEMS, step, 3, seed=0)]
    assert len(set(shown)) == 9
    again = [p.id for p in problems_of_step(PROBLEMS, 4, 3, seed=0)]
    assert again != shown[:3]
    assert problems_of_step(PROBLEMS, 2, 3, 0) == problems_of_step(PROBLEMS, 2, 3, 0)


def test_too_few_problems_for_a_step():
    with pytest.raises(DataError, match="fewer than one step's 11"):
        problems_of_step(PROBLEMS, 1, 11, 0)


def test_seeds_follow_from_run_step_and_stream():
    assert seeds(0, 1, 0, 4) == seeds(0, 1, 0, 4)
    assert len({*seeds(0, 1, 0, 50), *seeds(0, 2, 0, 50), *seeds(0, 1, 1, 50)}) == 150


def test_a_signal_that_does_not_fit_loses_its_end(prompts):
    signal = prompts._reasoner.encode("abcdefgh", add_special_tokens=False).ids
    whole = prompts.guided("q", signal)
    assert fit_signal(prompts, "q", signal, len(whole)) == (whole, False)
    cut, was_cut = fit_signal(prompts, "q", signal, len(whole) - 3)
    assert was_cut
    assert cut == prompts.guided("q", signal[:-3])
    with pytest.raises(DataError, match="does not fit"):
        fit_signal(prompts, "q", signal, 5)


def test_the_sampler_does_not_depend_on_the_batch():
    logits = torch.randn(3, 50)
    together = SeededSampler([1, 2, 3], 1.0)(None, logits).argmax(-1)
    apart = [
        SeededSampler([s], 1.0)(None, logits[i : i + 1]).argmax(-1) for i, s in enumerate((1, 2, 3))
    ]
    assert together.tolist() == [int(one) for one in apart]


def test_the_sampler_draws_from_the_distribution():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2]))
    sampler = SeededSampler(list(range(4000)), 1.0)
    drawn = sampler(None, logits.repeat(4000, 1)).argmax(-1)
    share = torch.bincount(drawn, minlength=3) / 4000
    assert torch.allclose(share, logits.exp(), atol=0.03)
    assert sampler.log_probs[0][0] == pytest.approx(logits[drawn[0]].item(), abs=1e-5)


def test_temperature_zero_is_greedy():
    logits = torch.tensor([[0.1, 3.0, 0.2]])
    sampler = SeededSampler([0], 0.0)
    assert sampler(None, logits).argmax(-1).tolist() == [1]
    assert sampler.log_probs[0].item() == pytest.approx(torch.log_softmax(logits, -1)[0, 1].item())


def test_top_k_and_top_p_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))

    def kept(top_p, top_k):
        return torch.isfinite(likeliest(logits, top_p, top_k))[0].tolist()

    assert kept(1.0, -1) == [True] * 4
    assert kept(1.0, 0) == [True] * 4
    assert kept(1.0, 2) == [True, True, False, False]
    # 0.5 is not enough for 0.6; 0.5 + 0.3 is.
    assert kept(0.6, -1) == [True, True, False, False]
    assert kept(0.5, -1) == [True, False, False, False]
    assert kept(1e-6, -1) == [True, False, False, False]
    # Of the three likeliest, renormalized, the first two hold 0.842.
    assert kept(0.84, 3) == [True, True, False, False]
    assert kept(0.85, 3) == [True, True, True, False]


def test_the_sampler_leaves_out_what_it_should():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    sampler = SeededSampler(list(range(2000)), 1.0, top_p=0.8, top_k=3)
    drawn = sampler(None, logits.repeat(2000, 1)).argmax(-1)
    share = torch.bincount(drawn, minlength=4) / 2000
    assert share[2:].tolist() == [0, 0]
    assert share[0].item() == pytest.approx(0.5 / 0.8, abs=0.03)
    # Log-probs stay those of the whole distribution, which is what the trainer computes.
    assert sampler.log_probs[0][0] == pytest.approx(logits[drawn[0]].item(), abs=1e-5)


def test_digest_tells_the_smallest_difference():
    weights = {"a": torch.ones(3), "b": torch.zeros(2)}
    assert digest(iter(weights.items())) == digest(iter(weights.items()))
    other = {**weights, "b": torch.tensor([0.0, 1e-30])}
    assert digest(iter(weights.items())) != digest(iter(other.items()))


def test_disagreement_is_measured_and_named():
    trained = torch.nested.as_nested_tensor(
        [torch.tensor([-1.0, -2.0]), torch.tensor([-3.0])], layout=torch.jagged
    )
    responses = [Response([1, 2], [-1.0, -2.5], True), Response([3], [-3.0], False)]
    found = log_prob_differences(responses, trained)
    assert found == pytest.approx({"log_prob_difference": 0.5, "log_prob_difference_mean": 0.5 / 3})
    metrics = {f"reasoner/{name}": value for name, value in found.items()}
    assert agree("reasoner", metrics, "largest", 0.51) is None
    assert "reasoner's rollout and trainer disagree" in agree("reasoner", metrics, "largest", 1e-4)
    # In bfloat16 single tokens always differ: there the mean is watched.
    assert agree("reasoner", metrics, "mean", 0.2) is None
    assert "(mean)" in agree("reasoner", metrics, "mean", 0.1)


def test_numbers_must_be_numbers():
    finite({"a": 1.0}, 3)
    with pytest.raises(DivergenceError, match=r"step 3: b is not"):
        finite({"a": 1.0, "b": float("nan")}, 3)


def test_data_that_is_all_wrong_or_all_right_is_told_once():
    assert "no answer to any of the 64 questions" in nothing_to_learn(0.0, 1, 64)
    assert "every answer to all of the 64 questions" in nothing_to_learn(1.0, 1, 64)
    for right, step in ((0.0, 2), (1.0, 2), (0.1, 1), (0.99, 1)):
        assert nothing_to_learn(right, step, 64) is None


def test_a_resumed_journal_forgets_what_is_done_again(tmp_path):
    rows = [json.dumps({"step": step}) for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    MetricsLog(tmp_path, steps=4, done=2, track=(), config={})
    assert (tmp_path / "metrics.jsonl").read_text() == "\n".join(rows[:2]) + "\n"


def test_a_run_that_is_killed_as_it_resumes_keeps_its_metrics(tmp_path, monkeypatch):
    text = "".join(json.dumps({"step": step}) + "\n" for step in (1, 2, 3))
    (tmp_path / "metrics.jsonl").write_text(text)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        MetricsLog(tmp_path, steps=4, done=2, track=(), config={})
    assert (tmp_path / "metrics.jsonl").read_text() == text


def test_a_row_that_was_written_in_part_is_dropped(tmp_path):
    """A run was killed, or its disk was full, in the middle of a line, even of a letter."""
    whole = json.dumps({"step": 1, "answer": "gr\u2028ün"}, ensure_ascii=False) + "\n"
    for name in ("metrics.jsonl", "samples.jsonl"):
        torn = b'{"step": 2, "answer": "gr\xc3'
        (tmp_path / name).write_bytes(whole.encode() + torn)
    log = MetricsLog(tmp_path, steps=4, done=2, track=(), config={})
    assert (tmp_path / "samples.jsonl").read_text("utf-8") == whole
    log.samples(3, [{"answer": "7"}])
    assert [row["step"] for row in read_metrics_log(tmp_path / "samples.jsonl")] == [1, 3]


def test_a_row_that_is_being_written_is_not_read(tmp_path):
    file = tmp_path / "samples.jsonl"
    whole = json.dumps({"step": 1, "answer": "gr\u2028ün"}, ensure_ascii=False).encode()
    file.write_bytes(whole + b'\n{"step": 2, "answer": "gr\xc3')
    assert read_metrics_log(file) == [{"step": 1, "answer": "gr\u2028ün"}]
    file.write_bytes(b'{"step": 1\n' + whole + b"\n")
    with pytest.raises(DataError, match=r"cannot read .*samples\.jsonl"):
        read_metrics_log(file)


def test_a_run_is_tracked_without_a_network(tmp_path, monkeypatch, capsys):
    """W&B offline and TensorBoard through VERL's `Tracking`, and the console's line."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    log = MetricsLog(tmp_path, 4, 0, ("tensorboard", "wandb"), {"seed": 0})
    metrics = {"reward/right": 0.5, "tokens/length": 7, "lambda": 0.1, "reasoner/kl": 0.0}
    log.step(1, {**metrics, "seconds/step": 2.0})
    log.close()
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("step 1/4  right 0.500  length 7  lambda 0.1000  kl 0.0000  2.0 s  0:0")
    assert line.endswith("left")
    assert list((tmp_path / "tensorboard").rglob("events.*"))
    (run,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    until = time.monotonic() + 60  # W&B's own process writes the file, after `finish` has returned
    while b"reward/right" not in run.read_bytes() and time.monotonic() < until:
        time.sleep(0.1)
    assert b"reward/right" in run.read_bytes()


def test_tracking_that_cannot_start_is_one_line(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no key:\nlog in")

    monkeypatch.setattr("wandb.init", refuse)
    with pytest.raises(ConfigError, match="no key: log in; W&B works .* WANDB_MODE=offline"):
        MetricsLog(tmp_path, 4, 0, ("wandb",), {})


def test_what_a_worker_raises_is_one_line():
    import ray

    cause = RuntimeError("CUDA out of memory.\nTried to allocate 20 GiB")
    error = ray.exceptions.RayTaskError("update", "trace\nback", cause)
    text = worker_failed(error, " in step 3")
    wanted = "a worker failed in step 3 (RuntimeError: CUDA out of memory. Tried to allocate 20 GiB"
    assert text == f"{wanted}; {ray_logs()})"
    late = worker_failed(ray.exceptions.GetTimeoutError("x"))
    assert late == f"a worker failed (GetTimeoutError; {ray_logs()})"


def test_a_dead_worker_is_one_line(monkeypatch, capsys):
    import ray

    from duet_training.rl.trainer import Trainer

    class Dying:
        def __init__(self, settings):
            self.state = type("State", (), {"step": 6})

        def run(self):
            raise ray.exceptions.RayActorError()

        def close(self):
            pass

    monkeypatch.setattr("duet_training.rl.trainer.Trainer", Dying)
    assert Trainer is not Dying
    assert train_run(["pair=p", "out=o", "data.train=t"]) == 1
    error = capsys.readouterr().err
    assert "a worker died in step 7" in error
    assert "resume=true" in error
    assert error.count("\n") == 1
