"""What signals carry: places of the answer, edits of signals, and decoders that copy or compute."""

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_training.data.rows import Problem, write_rows
from duet_training.evaluation.report.tables import NOT_RUN
from duet_training.evaluation.signal_content import (
    PLACEBO,
    SENTINELS,
    answer_spans,
    edited,
    placebo_spans,
    without,
)
from duet_training.evaluation.signal_measure import rates, readings
from duet_training.evaluation.signal_table import content_table
from duet_training.experiments.results import Results
from duet_training.experiments.rewards import rewards_table, signal_table
from duet_training.experiments.stage import Stage
from duet_training.verl_backend.generation import Response
from tests.doubles.commands import train_evaluate as main


@pytest.mark.parametrize(
    ("signal", "reference", "found"),
    [
        ("12-6=6.", "6", ["6", "6"]),
        ("3+14=17. So 17.0!", "17", ["17", "17.0"]),
        ("117, 17.5 and 1.17", "17", []),
        ("x=-6; 12-6", "-6", ["-6"]),
        ("It is 1,024.", "1024", ["1,024"]),
        ("the choice (C), as C says; Cat", "C", ["C", "C"]),
        (r"so \frac{3}{4} or 3/4", r"\frac{3}{4}", [r"\frac{3}{4}", "3/4"]),
        ("on Tuesday", "Tuesday", ["Tuesday"]),
        ("", "3", []),
    ],
)
def test_where_the_answer_stands(signal, reference, found):
    assert [signal[start:end] for start, end in answer_spans(signal, reference)] == found


def test_edits_by_hand():
    texts = edited("9-2=7.", "7", "0")
    assert texts["removed"] == "9-2=."
    assert texts["question mark"] == "9-2=?."
    assert texts["mask"] == "9-2=[...]."
    assert len(texts[PLACEBO]) == 5
    assert "7" in texts[PLACEBO]
    assert set(edited("no number", "7", "0").values()) == {"no number"}


@given(st.text("17+= .", max_size=40), st.text("0123456789", max_size=3))
def test_a_placebo_is_as_long_and_touches_no_answer(signal, seed):
    spans = answer_spans(signal, "17")
    drawn = placebo_spans(signal, spans, seed)
    places = sorted([*spans, *drawn])
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places))
    lengths = [end - start for start, end in spans]
    assert all(end - start in lengths for start, end in drawn)
    assert drawn == placebo_spans(signal, spans, seed)
    assert "17" not in re.split(r"[^\d.]", without(signal, spans, " "))


class _Models:
    def __init__(self, prompts):
        self.prompts = prompts


def test_shares_of_a_signal_are_of_its_tokens(prompts):
    problems = [Problem("1", "q", "4", "s")]
    found = readings(_Models(prompts), problems, ["2 + 2 = 4"])
    texts = {name: prompts.signal_text(ids) for name, (ids,) in found.items()}
    assert texts["25%"] == "2 "
    assert texts["50%"] == "2 + "
    assert texts["100%"] == "2 + 2 = 4"
    assert texts["removed"] == "2 + 2 = "
    assert set(texts) == {"25%", "50%", "75%", "100%", *SENTINELS, PLACEBO}


def test_how_often_signals_state_the_answer():
    import numpy as np

    problems = [Problem(str(i), "q", "4", "s") for i in range(4)]
    signals = ["2+2=4", "4", "2+2", ""]
    assert rates(problems, signals, np.array([1.0, 0.0, 1.0, 0.0])) == {
        "stated": 0.5,
        "stated_of_right": 0.5,
    }
    assert rates(problems, signals, np.zeros(4))["stated_of_right"] is None


class _Policy:
    """A reasoner that writes `signal`; a decoder that copies the last number once it is loaded."""

    def __init__(self, name, prompts, signal):
        self._name, self._prompts, self._signal = name, prompts, signal
        self.trained = False

    def sample(self, prompts, sampling, seeds):
        return [self._respond(ids) for ids in prompts]

    def _respond(self, ids):
        own = getattr(self._prompts, f"_{self._name}")
        text = self._signal
        if self._name == "decoder":
            read = own.decode(ids, skip_special_tokens=False).split("<think>")[-1]
            numbers = re.findall(r"\d+", read)
            text = rf"\boxed{{{numbers[-1] if numbers and self.trained else 'none'}}}"
        tokens = getattr(self._prompts, f"_{self._name}_text").encode_template(text)
        return Response(tokens, [0.0] * len(tokens), True)

    def to_rollout(self, step):
        pass

    def rest(self):
        pass

    def load_weights(self, directory):
        self.trained = True


@pytest.mark.parametrize("trained", [True, False])
def test_a_decoder_that_copies_is_seen(pair_file, prompts, tmp_path, monkeypatch, trained):
    write_rows([Problem("1", "2+2?", "4", "set", "number")], "test", tmp_path / "test.parquet")
    started = []

    def start(settings, pair, names, *, reference):
        started.append(names)
        return {name: _Policy(name, prompts, "2+2=4</think>") for name in names}

    monkeypatch.setattr("duet_training.evaluation.model_cache.start_policies", start)
    out, step = tmp_path / "out.json", tmp_path / "step_4"
    command = [f"pair={pair_file}", f"data.train={tmp_path}/test.parquet", f"out={out}"]
    if trained:
        for name in ("reasoner", "decoder"):
            (step / name).mkdir(parents=True)
        bound = {"reasoner_devices": 1, "decoder_devices": 1}
        (step / "state.json").write_text(json.dumps({"step": 4, "settings": bound}))
        command.append(f"weights={step}")
    assert main([*command, "method=signal", "temperature=0"]) == 0
    result = json.loads(out.read_text())
    signal = result["signal"]
    assert signal["stated"] == 1.0
    read = {name: one["accuracy"] for name, one in signal["decoder"].items()}
    assert result["accuracy"] == read["100%"] == float(trained)
    if not trained:
        assert signal["untouched"] is None
        assert len(started) == 1
        return
    assert signal["stated_of_right"] == 1.0
    assert {name: read[name] for name in SENTINELS} == dict.fromkeys(SENTINELS, 0.0)
    assert read["50%"] == 0.0
    # Whatever else is removed, the last number is still the answer.
    assert read[PLACEBO] == 1.0
    assert signal["decoder"]["removed"]["accuracy_where_stated"] == 0.0
    # The initial decoder reads the same signals; its weights are in its files alone.
    assert {one["accuracy"] for one in signal["untouched"].values()} == {0.0}
    assert len(started) == 2


def test_what_was_not_run_says_so(tmp_path):
    table = rewards_table(Results(tmp_path, tmp_path), (0, 1, 2))
    assert table.count("| reward-") == 4
    assert table.count(NOT_RUN) == 4 * 8
    assert "| duet-0 | not run |  |" in content_table({"duet-0": None})


def _carried(share):
    readings = (*SENTINELS, PLACEBO, "25%", "50%", "75%", "100%")
    one = {"accuracy": share, "accuracy_95": [share, share], "accuracy_where_stated": None}
    every = dict.fromkeys(readings, one)
    return {"stated": share, "stated_of_right": None, "decoder": every, "untouched": None}


def test_seeds_are_averaged_and_the_rest_is_not_run(tmp_path):
    results = Results(tmp_path, tmp_path)
    plan = [Stage(f"{n}@signal", "evaluate", ()) for n in ("duet-0", "duet-1", "weak-0", "start")]
    for seed, share in ((0, 0.5), (1, 1.0)):
        results.write(f"duet-{seed}@signal", {"result": {"signal": _carried(share)}})
    *_, duet, others = signal_table(plan, results).splitlines()
    assert duet.startswith("| duet | 75.0% |  | 75.0% |")
    assert others.startswith("| weak, start | not run |")


def _run(results, name, tokens, validation, accuracy, signal):
    for seed in (0, 1):
        curves = {
            "tokens/generated": [[step, tokens] for step in range(1, 9)],
            "validation/accuracy": [[4, validation[0]], [8, validation[1]]],
        }
        results.write(f"{name}-{seed}", {"result": {"steps": 8, "curves": curves}})
        found = {"accuracy": accuracy, "accuracy_95": [accuracy, accuracy], "questions": 5}
        found |= {"reasoner_tokens": signal}
        results.write(f"{name}-{seed}@greedy", {"result": found})


def test_rewards_are_compared_at_equal_tokens(tmp_path):
    results = Results(tmp_path, tmp_path)
    _run(results, "reward-sampled", 100, (0.5, 0.9), 0.9, 20.0)
    _run(results, "reward-dense", 50, (0.9, 0.95), 0.92, 19.0)
    _run(results, "reward-prefix", 100, (0.5, 0.9), 0.9, 16.0)
    _run(results, "reward-withheld", 100, (0.5, 0.8), 0.8, 10.0)
    rows = {
        line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")
        for line in rewards_table(results, (0, 1)).splitlines()[2:]
    }
    # Of 800 tokens: the dense reward spends half, and is validated at its steps 4 and 8.
    assert rows["reward-sampled"][5:9] == ["1.00", "", "0.500", "0.900"]
    assert rows["reward-dense"][5:] == ["0.50", "0.900", "0.950", "0.950", "yes"]
    assert rows["reward-prefix"][-1] == "yes"  # 0.8 of the tokens
    assert rows["reward-withheld"][-1] == "no"
