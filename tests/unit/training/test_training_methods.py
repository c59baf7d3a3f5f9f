"""Methods with models that answer from a script, and the figures of an evaluation."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from duet_training.data.rows import Problem, write_rows
from duet_training.evaluation.methods import (
    NOTE,
    Alone,
    Duet,
    Original,
    Outcome,
    Prompted,
    Truncated,
)
from duet_training.evaluation.metrics import (
    generation_flops,
    intelligence_per_token,
)
from duet_training.evaluation.run import EvaluationSettings, evaluate, summary, write_answers
from duet_training.settings.compose import compose_settings
from duet_training.verl_backend.generation import Response
from tests.doubles.commands import train_evaluate as main
from tests.doubles.policies import ScriptedPolicy

PROBLEMS = [Problem("1", "2+2?", "4", "set")]


class Scripted:
    """Responds with the given texts in turn, cut at the limit that is asked for."""

    def __init__(self, prompts, reasoner=(), decoder=()):
        self.prompts, self.asked = prompts, []
        self._reasoner, self._decoder = list(reasoner), list(decoder)

    def _respond(self, asked, script, limit=None):
        self.asked += [
            self.prompts._reasoner.decode(ids, skip_special_tokens=False) for ids in asked
        ]
        out = []
        for _ in asked:
            ids = self.prompts._reasoner.encode(script.pop(0), add_special_tokens=False).ids
            out.append(
                Response(ids[:limit], [0.0] * len(ids[:limit]), len(ids) == len(ids[:limit]))
            )
        return out

    def reason(self, prompts, limit=None, *, to_end=True):
        return self._respond(prompts, self._reasoner, limit)

    def decode(self, prompts):
        return self._respond(prompts, self._decoder)

    def guided_prompt(self, question, signal):
        return self.prompts.guided(question, signal)


def test_duet_hands_the_signal_over(prompts):
    models = Scripted(prompts, ["<think>add</think>4<|end|>"], ["four<|end|>"])
    (outcome,) = Duet().answer(models, PROBLEMS)
    assert models.asked[1].endswith("<think>add</think>")
    assert outcome.answer == "four"
    # <think> a d d </think> 4 <|end|>, and f o u r <|end|>
    assert (outcome.reasoner_tokens, outcome.decoder_tokens) == (7, 5)


def test_original_and_alone_use_one_model(prompts):
    (original,) = Original().answer(Scripted(prompts, ["add</think>4<|end|>"]), PROBLEMS)
    assert (original.reasoner_tokens, original.decoder_tokens) == (6, 0)
    (alone,) = Alone().answer(Scripted(prompts, (), ["4<|end|>"]), PROBLEMS)
    assert (alone.answer, alone.reasoner_tokens, alone.decoder_tokens) == ("4", 0, 2)


def test_prompted_asks_for_concise_reasoning(prompts):
    models = Scripted(prompts, ["4<|end|>"])
    Prompted().answer(models, PROBLEMS)
    assert f"2+2? {NOTE} Let's think" in models.asked[0]


def test_truncated_answers_from_the_cut_trace(prompts):
    models = Scripted(prompts, ["a very long thought", "4<|end|>"])
    (outcome,) = Truncated(6).answer(models, PROBLEMS)
    assert models.asked[1].endswith("<|assistant|>a very</think>")
    assert outcome.answer == "a very4"
    assert outcome.reasoner_tokens == 6 + 2  # what is put in by hand is not generated
    (short,) = Truncated(60).answer(Scripted(prompts, ["4<|end|>"]), PROBLEMS)
    assert (short.answer, short.finished) == ("4", True)


def test_figures_by_hand():
    # The paper's MATH500 row: accuracy .88 with 1,106 tokens.
    assert intelligence_per_token(0.88, 1106) == pytest.approx(0.7957, abs=1e-4)
    assert intelligence_per_token(0.5, 0) is None
    assert generation_flops(4_000_000_000, 1000) == 8e12


def test_summary(prompts):
    outcomes = Duet().answer(
        Scripted(prompts, ["a</think><|end|>", "abc</think><|end|>"], ["4<|end|>", "5<|end|>"]),
        PROBLEMS * 2,
    )
    sizes = {"reasoner": 100, "decoder": 10}
    result = summary(PROBLEMS * 2, [outcomes], np.array([[1.0], [0.0]]), [3.0], sizes)
    assert result["accuracy"] == 0.5
    assert result["reasoner_tokens"] == 4
    assert result["ipt"] == 125
    assert result["flops"] == {"reasoner": 800, "decoder": 40, "total": 840}
    assert result["seconds"] == 3
    assert result["over_runs"]["accuracy"] == {"std": None, "min": 0.5, "max": 0.5}


@pytest.mark.parametrize(
    ("source", "more", "runs"), [("aime24", [], 16), ("math500", [], 1), ("aime24", ["runs=2"], 2)]
)
def test_sets_of_few_questions_are_answered_more_often(
    pair_file, prompts, tmp_path, source, more, runs
):
    problems = [Problem(str(i), f"what is {i}?", "A", source, "choice") for i in range(2)]
    write_rows(problems, "test", tmp_path / "test.parquet")
    needed = [f"pair={pair_file}", f"data.train={tmp_path}/test.parquet", "out=o.json"]
    settings = compose_settings("evaluate", [*needed, "method=alone", *more], EvaluationSettings)
    decoder = ScriptedPolicy("decoder", prompts._decoder.encode, ["A<|end|>"], [])
    models = SimpleNamespace(with_weights=lambda *_: {"decoder": decoder})
    result = evaluate(settings, models)
    assert result["settings"]["runs"] == len(result["by_run"]) == runs
    assert decoder.events.count("decoder samples") == runs


def test_every_answer_is_kept_with_its_signal(prompts, tmp_path):
    outcomes = Duet().answer(
        Scripted(prompts, ["a</think><|end|>", "abc</think><|end|>"], ["4<|end|>", "5<|end|>"]),
        PROBLEMS * 2,
    )
    file = tmp_path / "deep" / "answers.jsonl"
    write_answers(file, PROBLEMS * 2, [outcomes], np.array([[1.0], [0.0]]))
    rows = [json.loads(line) for line in file.read_text("utf-8").split("\n")[:-1]]
    assert [(row["signal"], row["answer"], row["score"]) for row in rows] == [
        ("a", "4", 1.0),
        ("abc", "5", 0.0),
    ]
    assert {row["question"] for row in rows} == {PROBLEMS[0].question}
    assert rows[0]["run"] == 0


def test_seeds_are_summed_up(prompts):
    """Two questions, two runs: the interval is over questions, the spread over runs."""
    one, two = (
        [Outcome("", tokens, 2, True), Outcome("", tokens + 2, 2, True)] for tokens in (10, 20)
    )
    scores = np.array([[1.0, 1.0], [1.0, 0.0]])  # (questions, runs)
    sizes = {"reasoner": 100, "decoder": 10}
    result = summary(PROBLEMS * 2, [one, two], scores, [1.0, 3.0], sizes)
    assert result["accuracy"] == 0.75
    assert [run["accuracy"] for run in result["by_run"]] == [1.0, 0.5]
    assert [run["right"] for run in result["by_run"]] == ["11", "10"]
    # Means 11 and 21 tokens; deviation of 1 and 0.5 with n - 1 is 0.5 / sqrt(2).
    assert [run["reasoner_tokens"] for run in result["by_run"]] == [11, 21]
    assert result["over_runs"]["accuracy"]["std"] == pytest.approx(0.5 / 2**0.5)
    assert result["over_runs"]["reasoner_tokens"]["max"] == 21
    assert result["seconds"] == 4
    # Questions at 1 and at 0.5: drawn with replacement, their mean lies between the two.
    assert result["accuracy_95"] == [0.5, 1.0]


def test_weights_that_are_no_checkpoint_are_one_line(pair_file, tmp_path, capsys):
    write_rows(PROBLEMS, "test", tmp_path / "test.parquet")
    command = [f"pair={pair_file}", f"data.train={tmp_path}/test.parquet", "out=o"]
    assert main([*command, f"weights={tmp_path}"]) == 1
    assert "is not a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["{", '{"step": 4}'])
def test_a_checkpoint_whose_state_is_unreadable_is_one_line(
    state, pair_file, tmp_path, capsys, monkeypatch
):
    def start(*_, **__):
        pytest.fail("the error comes before anything starts")

    monkeypatch.setattr("duet_training.evaluation.model_cache.start_policies", start)
    write_rows(PROBLEMS, "test", tmp_path / "test.parquet")
    for name in ("reasoner", "decoder"):
        (tmp_path / "step_4" / name).mkdir(parents=True)
    (tmp_path / "step_4/state.json").write_text(state)
    command = [f"pair={pair_file}", f"data.train={tmp_path}/test.parquet", "out=o"]
    assert main([*command, f"weights={tmp_path}/step_4"]) == 1
    error = capsys.readouterr().err
    assert "cannot read " in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "bad",
    [
        ["method=magic"],
        ["runs=0"],
        ["temperature=-1"],
        ["decoder.top_p=2"],
        ["method=truncated", "cut_at=99999"],
        [],
    ],
)
def test_bad_settings_are_one_line(bad, capsys):
    assert main(["pair=nowhere.yaml", "out=o", "data.train=t", *bad]) == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: ")
    assert error.count("\n") == 1
