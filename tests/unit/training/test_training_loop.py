"""The trainer's loop with policies that sample_responses from a script: order, alarms, what is kept."""

import json
from itertools import product

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from duet_training.data.rows import Problem, write_rows
from tests.doubles.commands import train_run as main
from tests.doubles.policies import ScriptedPolicy

SMALL = [
    *("batch.questions=2", "batch.signals=2", "batch.answers=2", "batch.mini_batch=1"),
    *("tokens.response=16", "tokens.answer=12", "tokens.decoder_prompt=200"),
    *("steps=3", "checkpoint.every=1", "validate.every=0", "track=[]"),
]


class Run:
    """A run's overrides, and the policies that it is given."""

    def __init__(self, home, arguments, prompts):
        self.home, self._arguments, self._prompts = home, arguments, prompts
        self.policies, self.events = {}, []
        self.made_of()

    def made_of(self, signals=("a</think>7<|end|>", "ab</think>7<|end|>"), answers=("7", "no")):
        """Other texts than the default ones; returns the policies."""
        for name, texts in (("reasoner", signals), ("decoder", answers)):
            encode = getattr(self._prompts, f"_{name}").encode
            self.policies[name] = ScriptedPolicy(name, encode, texts, self.events)
        return self.policies["reasoner"], self.policies["decoder"]

    def start(self, *more):
        return main([*self._arguments, *more])

    def held_out(self, name="held-out", first=100, count=4):
        """A file of questions that are not trained on."""
        verifier = "tests.doubles.verifiers:DigitVerifier"
        numbers = range(first, first + count)
        problems = [Problem(str(i), f"what is {i}?", "1", "own", verifier) for i in numbers]
        write_rows(problems, "validation", self.home / f"{name}.parquet")
        return self.home / f"{name}.parquet"

    def rows(self):
        lines = (self.home / "run/metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def saved(self):
        return sorted(path.name for path in (self.home / "run/checkpoints").iterdir())


@pytest.fixture
def run(pair_file, prompts, tmp_path, monkeypatch):
    verifier = "tests.doubles.verifiers:DigitVerifier"
    problems = [Problem(str(i), f"what is {i}?", "1", "own", verifier) for i in range(8)]
    write_rows(problems, "train", tmp_path / "train.parquet")
    arguments = [f"pair={pair_file}", f"data.train={tmp_path}/train.parquet"]
    run = Run(tmp_path, [*arguments, f"out={tmp_path}/run", *SMALL], prompts)
    monkeypatch.setattr("duet_training.rl.trainer.start_policies", lambda *_, **__: run.policies)
    return run


def test_the_models_take_turns_in_memory_and_the_decoder_learns_first(run):
    assert run.start("steps=1") == 0
    turns = product(("reasoner", "decoder"), ("wakes", "is compared", "samples", "rests"))
    learning = ["decoder learns", "reasoner learns"]
    assert run.events == [f"{name} {what}" for name, what in turns] + learning


def test_price_and_kl_are_taken_out_of_the_reasoners_reward(run):
    reasoner, _ = run.made_of(answers=["7"])  # right with a signal and without: no utility
    objective = ["objective.budget=10", "objective.kl.coefficient=0.5"]
    penalty = ["objective.length_penalty.schedule=constant", "objective.length_penalty.start=0.5"]
    assert run.start("steps=1", *objective, *penalty) == 0
    (row,) = run.rows()
    # Responses of 4 and 5 tokens, of 0.1 nats each: -0.5 x 4 / 10 - 0.5 x 0.4, and so on.
    assert row["reasoner/kl"] == pytest.approx(0.45)
    assert row["reward/reasoner"] == pytest.approx((-0.4 - 0.5) / 2)
    (update,) = reasoner.updates
    assert update.advantages[:, 0].tolist() == pytest.approx([0.7071, -0.7071] * 2, abs=1e-3)
    # 4 tokens, then nothing.
    assert update.advantages[0, 4] == 0


@pytest.mark.parametrize(("more", "reasoner_at"), [([], 0.0), (["validate.temperature=0.7"], 0.7)])
def test_validation_samples_the_reasoner_as_told_and_the_decoder_greedily(run, more, reasoner_at):
    reasoner, decoder = run.made_of()
    held_out = [f"data.validation={run.held_out()}", "validate.every=1"]
    assert run.start("steps=1", *held_out, *more) == 0
    assert "validation/accuracy" in run.rows()[0]
    assert (reasoner.sampling.temperature, decoder.sampling.temperature) == (reasoner_at, 0.0)


def test_each_validation_set_has_its_curve(run):
    """All sets are answered at once, and the figure of all is that of all questions."""
    sets = {"easy": run.held_out("easy", 100, 2), "aime24": run.held_out("aime24", 200, 4)}
    named = ",".join(f"{name}:{file}" for name, file in sets.items())
    # 8 guided answers and 8 alone come first.
    run.made_of(answers=["no"] * 16 + ["7", "no", "7", "7", "no", "7"])
    held_out = [f"data.validation={{{named}}}", "validate.every=1"]
    assert run.start("steps=1", *held_out) == 0
    (row,) = run.rows()
    assert row["validation/easy/accuracy"] == 0.5
    assert row["validation/aime24/accuracy"] == 0.75
    assert row["validation/accuracy"] == pytest.approx(4 / 6)
    assert {"validation/easy/signal_tokens", "validation/aime24/answer_tokens"} <= row.keys()
    assert run.events.count("reasoner samples") == 2


@pytest.mark.parametrize("named", [False, True])
def test_a_validation_set_that_shares_questions_with_training_is_refused(run, named, capsys):
    problems = [Problem(str(i), f"What  is {i}? ", "1", "own", "choice") for i in (7, 8)]
    file = run.home / "shared.parquet"
    write_rows(problems, "validation", file)
    value = f"{{apart:{run.held_out()},shared:{file}}}" if named else file
    assert run.start(f"data.validation={value}", "validate.every=1") == 1
    error = capsys.readouterr().err
    assert f"1 of 2 questions of {file} are in the training data, too" in error
    assert f"--exclude {run.home}/train.parquet" in error
    assert error.count("\n") == 1
    assert run.events == []
    assert not (run.home / "run/metrics.jsonl").exists()


def test_data_without_the_columns_is_one_line(run, capsys):
    pq.write_table(pa.table({"question": ["q"], "answer": ["1"]}), run.home / "train.parquet")
    assert run.start() == 1
    error = capsys.readouterr().err
    assert "train.parquet lacks columns of `duet-train data prepare`" in error
    assert error.count("\n") == 1
    assert run.events == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ["tokens.decoder_prompt=40"],
            "8 of 8 questions do not fit into tokens.decoder_prompt (40)",
        ),
        (["objective.reward=dense", "tokens.answer=9"], "has 10 tokens, tokens.answer is 9"),
    ],
)
def test_a_question_that_would_end_the_run_in_a_later_step_is_refused_at_its_start(
    run, capsys, more, said
):
    """The run would end there again whenever it is resumed."""
    assert run.start(*more) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert run.events == []
    assert not (run.home / "run").exists()


def test_a_resume_with_other_settings_changes_nothing(run, capsys):
    assert run.start() == 0
    files = {file: file.read_bytes() for file in (run.home / "run").rglob("*") if file.is_file()}
    capsys.readouterr()
    for other in ("objective.loss_aggregation=token-sum", "verl=['trainer.project_name=x']"):
        assert run.start("resume=true", other) == 1
        error = capsys.readouterr().err
        assert "belongs to another configuration" in error
        assert error.count("\n") == 1
    assert {f: f.read_bytes() for f in (run.home / "run").rglob("*") if f.is_file()} == files


def test_a_resume_with_other_data_of_the_same_name_is_refused(run, capsys):
    """The order of questions follows from the data: with other data a run would repeat or skip some."""
    assert run.start("steps=1") == 0
    state = run.home / "run/checkpoints/step_1/state.json"
    content = json.loads(state.read_text())
    rows = pq.read_table(run.home / "train.parquet")
    pq.write_table(rows.slice(1), run.home / "train.parquet")
    assert run.start("resume=true") == 1
    error = capsys.readouterr().err
    assert f"belongs to other training data: {run.home}/train.parquet has changed since" in error
    assert error.count("\n") == 1
    assert run.saved() == ["step_1"]
    # Checkpoints of earlier versions say nothing of their data.
    del content["data"]
    state.write_text(json.dumps(content))
    assert run.start("resume=true") == 0


def test_milestones_are_saved_and_kept(run):
    assert run.start("steps=5", "checkpoint.every=2", "checkpoint.keep=1",
                     "checkpoint.milestones=[1,3]") == 0  # fmt: skip
    assert run.saved() == ["step_1", "step_3", "step_5"]


def test_micro_batches_weigh_the_advantages_of_their_responses(run):
    """Signals of 4 and 5 tokens make one micro-batch; one of each is weighed by all 9."""
    reasoner, _ = run.made_of(answers=["7"])
    penalty = ["objective.length_penalty.schedule=constant", "objective.length_penalty.start=0.5"]
    rule = "objective.loss_aggregation=micro-batch-token-mean"
    assert run.start("steps=1", *penalty, "objective.kl.coefficient=0") == 0
    (plain,) = reasoner.updates
    reasoner, _ = run.made_of(answers=["7"])
    one = ["objective.micro_batch.reasoner=1", "objective.micro_batch.decoder=2"]
    again = [f"out={run.home}/other", "steps=1", "objective.kl.coefficient=0"]
    assert run.start(*again, *penalty, rule, *one) == 0
    (weighed,) = reasoner.updates
    factors = weighed.advantages[:, 0] / plain.advantages[:, 0]
    assert factors.tolist() == pytest.approx([9 / (2 * 4), 9 / (2 * 5)] * 2, rel=1e-6)


def test_without_kl_the_initial_model_is_not_asked(run):
    reasoner, _ = run.made_of()
    assert run.start("steps=1", "objective.kl.coefficient=0") == 0
    assert reasoner.asked_initial == 0
    assert run.rows()[0]["reasoner/kl"] == 0


@pytest.mark.parametrize(("counted", "length"), [("response", 4.5), ("signal", 1.5)])
def test_which_tokens_are_the_length(run, counted, length):
    penalty = [
        "objective.length_penalty.start=0.5",
        "objective.length_penalty.rate=0.1",
        "objective.budget=10",
    ]
    assert run.start("steps=2", *penalty, f"objective.counted={counted}") == 0
    first, second = run.rows()
    assert (first["tokens/response"], first["tokens/signal"]) == (4.5, 1.5)
    assert first["tokens/length"] == length
    # lambda moves by it, down from 0.5: 0.1 x (length / 10 - 1).
    assert second["lambda"] == pytest.approx(0.5 + 0.1 * (length / 10 - 1))


@pytest.mark.parametrize("stops", [True, False])
def test_the_reasoner_may_stop_where_its_reasoning_ends(run, prompts, stops):
    assert run.start("steps=1", f"objective.stop_at_end_of_reasoning={stops}") == 0
    asked = run.policies["reasoner"].sampling.stops
    assert set(prompts.end_of_text) <= set(asked)
    assert (prompts.end_of_reasoning in asked) == stops
    assert prompts.end_of_reasoning not in run.policies["decoder"].sampling.stops


def test_a_fixed_decoder_learns_nothing(run):
    reasoner, decoder = run.made_of()
    assert run.start("objective.train_decoder=false") == 0
    assert (len(reasoner.updates), len(decoder.updates)) == (3, 0)
    assert "decoder/log_prob_difference" in run.rows()[0]


@pytest.mark.parametrize("learns_from", ["guided", "guided_and_alone"])
def test_what_the_decoder_learns_from(run, prompts, learns_from):
    _, decoder = run.made_of(signals=["a</think>"])
    assert run.start("steps=1", "samples=4", f"objective.decoder_learns_from={learns_from}") == 0
    (update,) = decoder.updates
    signal = prompts.signal(prompts._reasoner.encode("a</think>", add_special_tokens=False).ids)
    samples = (run.home / "run/samples.jsonl").read_text().splitlines()
    expected = []
    # Question by question; two signals have two answers each, with the signal and without.
    for question in dict.fromkeys(json.loads(line)["question"] for line in samples):
        expected += [prompts.guided(question, signal)] * 4
        if learns_from == "guided_and_alone":
            expected += [prompts.alone(question)] * 4
    assert update.prompts == expected
    # A mini-batch is the answers to one signal.
    assert update.mini_batch == (2 if learns_from == "guided" else 4)


def test_a_dense_reward_is_measured_before_the_decoder_learns(run):
    reasoner, decoder = run.made_of()
    objective = ["objective.kl.coefficient=0", "objective.length_penalty.schedule=constant"]
    assert run.start("steps=1", "objective.reward=dense", *objective) == 0
    (row,) = run.rows()
    # \\boxed{1} and the end token: ten tokens of -1 nat each, with a signal and without.
    assert (row["reward/dense"], row["reward/dense_alone"]) == (-10.0, -10.0)
    assert row["reward/reasoner"] == 0.0
    assert row["reward/guided"] == 0.5
    assert "reward/alone" not in row
    assert len(decoder.updates[0].prompts) == 8
    assert not reasoner.updates[0].advantages.any()


def test_a_run_with_another_reward_is_not_resumed(run, capsys):
    assert run.start("steps=1") == 0
    assert run.start("resume=true", "objective.reward=dense") == 1
    error = capsys.readouterr().err
    assert "objective.reward is None there and 'dense' here" in error
    assert error.count("\n") == 1
    assert run.saved() == ["step_1"]


def test_a_loss_that_is_no_number_stops_the_run_before_it_is_saved(run, capsys):
    _, decoder = run.made_of()
    decoder.losses = [0.5, 0.5, float("nan")]
    assert run.start() == 1
    error = capsys.readouterr().err
    assert error == "duet-train: step 3: decoder/loss is not a finite number\n"
    assert run.saved() == ["step_1", "step_2"]
    assert [row["step"] for row in run.rows()] == [1, 2]
    # From there it continues.
    _, decoder = run.made_of()
    assert run.start("resume=true") == 0
    assert decoder.loaded == "2"
    assert len(decoder.updates) == 1
    assert [row["step"] for row in run.rows()] == [1, 2, 3]


def test_a_full_disk_stops_the_run_and_keeps_what_was_saved(run, capsys):
    run.policies["decoder"].full = 2
    assert run.start() == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: cannot save step 2 to ")
    assert error.endswith("file write failed; the last good checkpoint is of step 1\n")
    assert error.count("\n") == 1
    assert run.saved() == ["step_1"]
    _, decoder = run.made_of()
    assert run.start("resume=true") == 0
    assert decoder.loaded == "1"
    assert [row["step"] for row in run.rows()] == [1, 2, 3]


@pytest.mark.parametrize("policy", ["reasoner", "decoder"])
def test_a_rollout_that_disagrees_stops_the_run_or_is_told(run, policy, capsys):
    run.policies[policy].apart = 2e-4
    assert run.start() == 1
    error = capsys.readouterr().err
    assert f"step 1: the {policy}'s rollout and trainer disagree" in error
    assert not (run.home / "run/checkpoints").exists()
    assert run.start("checks.on_disagreement=warn") == 0
    warnings = [row for row in capsys.readouterr().out.splitlines() if "WARNING" in row]
    assert len(warnings) == 3
    assert f"the {policy}'s rollout" in warnings[0]


def test_data_that_is_too_hard_teaches_nothing_and_is_told(run, capsys):
    reasoner, decoder = run.made_of(signals=["a</think>"], answers=["no"])
    assert run.start() == 0
    warnings = [row for row in capsys.readouterr().out.splitlines() if "WARNING" in row]
    assert len(warnings) == 1
    assert "no answer to any of the 2 questions was right" in warnings[0]
    for update in (*reasoner.updates, *decoder.updates):
        assert not update.advantages.any()
    assert {row["reasoner/tied_groups"] for row in run.rows()} == {1.0}


def test_data_that_is_too_easy_is_told(run, capsys):
    run.made_of(answers=["7"])
    assert run.start() == 0
    (warning,) = [row for row in capsys.readouterr().out.splitlines() if "WARNING" in row]
    assert "every answer to all of the 2 questions was right" in warning
