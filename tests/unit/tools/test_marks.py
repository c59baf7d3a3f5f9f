"""Figures of marks, and of the ways to use further signals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import SIGNAL_ENCODING_TEXT
from duet_device.policy.measures import Evidence
from duet_device.policy.rounds import Candidate
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.marks.answers import JudgedAnswer, of_all, with_rounds
from duet_tools.marks.command import read_set
from duet_tools.marks.figures import marks_of, of_sets, ways_of
from duet_tools.marks.signals import SetQuestion, SignalRow, ask, missing
from tests.doubles.cloud import ScriptedCloud, done_text, says, text
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data

SUMS = [SetQuestion("sums", str(number), f"{number}+1?", str(number + 1)) for number in range(3)]


def made(
    right: bool, score: float | None, *, value: str = "7", sure: bool = True, tokens: int = 4
) -> JudgedAnswer:
    candidate = Candidate(Evidence(values=(value,)), score)
    marked = score is None or score < 0
    return JudgedAnswer(
        right, tokens, marked, score, None if score is None else 0.5, sure, candidate
    )


def test_marks_of_a_judge_that_knows() -> None:
    found = marks_of([made(True, 2.0)] * 30 + [made(False, -1.0)] * 20 + [made(False, None)] * 10)
    assert found.right.value == pytest.approx(0.5)
    assert found.auroc
    assert found.auroc.value == 1
    assert found.marked == pytest.approx(0.5)
    assert found.right_unmarked
    assert found.right_unmarked.value == 1
    assert found.gain == pytest.approx(2)
    # Of 50 with a chance, all said to be 0.5: one bin.
    assert found.ece == pytest.approx(0.1)
    assert max(found.ece_refitted) < 0.01


def test_marks_of_answers_that_are_all_wrong() -> None:
    found = marks_of([made(False, None)] * 4)
    assert (found.auroc, found.ece, found.right_unmarked, found.gain) == (None, None, None, None)


def test_a_sure_answer_spends_one_signal_and_a_doubtful_one_another() -> None:
    again = made(True, 1.0, value="8")
    assert with_rounds([made(True, 1.0), again], 2) == (True, 4)
    assert with_rounds([made(False, -1.0, sure=False), again], 2) == (True, 8)
    # Two that agree are settled: a third cannot change the value.
    twice = [made(False, -1.0, sure=False)] * 2
    assert with_rounds([*twice, again], 3) == (False, 8)
    assert of_all([*twice, again]) == (False, 12)


def test_ways_are_compared_on_the_same_questions() -> None:
    doubtful = [made(False, -1.0, sure=False), *[made(True, 1.0, value="8")] * 6]
    sure = [made(True, 1.0)] * 7
    found = ways_of([doubtful, sure])
    assert (found["greedy"].right, found["greedy"].tokens) == (0.5, 4)
    assert (found["rounds 2"].right, found["rounds 2"].tokens) == (1, 6)
    assert found["rounds 2"].gain.value == 0.5
    assert len(found["rounds 2"].trials) == 3
    assert (found["agreement of 3"].right, found["agreement of 3"].tokens) == (1, 12)
    assert len(found["agreement of 3"].trials) == 3
    assert len(found["agreement of 5"].trials) == 1
    assert found["surest of 5"].tokens == 20
    assert set(ways_of([doubtful[:2]])) == {"greedy", "rounds 2"}


def test_real_sets_are_counted_together() -> None:
    tries = {"a": [[made(True, 1.0)]], "b": [[made(False, 1.0)]], "made": [[made(True, 1.0)]]}
    counts = of_sets(tries, ["a", "b"], len)
    assert counts == {"a": 1, "b": 1, "made": 1, "real": 2}


@given(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3))))
def test_what_is_held_is_not_asked_again(held: set[tuple[int, int]]) -> None:
    rows = [_row(SUMS[at], number) for at, number in held]
    wanted = missing(SUMS, 3, rows)
    assert {(SUMS.index(each), number) for each, number in wanted} == {
        (at, number) for at in range(3) for number in range(4)
    } - held


def test_a_worked_solution_is_judged_by_its_result(tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text('{"id": "a", "question": "2+2?", "answer": "2+2 is 4.\\n#### 4"}\n')
    assert read_set("sums", file) == [SetQuestion("sums", "a", "2+2?", "4")]
    file.write_text('{"question": "2+2?"}\n')
    with pytest.raises(UsageProblem, match="not every question has an answer"):
        read_set("sums", file)


def _row(asked: SetQuestion, number: int) -> SignalRow:
    odds = {"least_log_probability": None, "mean_log_probability": None}
    return SignalRow(
        set=asked.set, id=asked.id, number=number, text="a", tokens=1, cut=False, **odds
    )


async def _asked(server: str, manifest: Manifest) -> list[SignalRow]:
    wanted = [(each, number) for each in SUMS for number in (0, 1)]
    found: AsyncIterator[SignalRow] = ask(wanted, manifest, server, streams=2)
    return [row async for row in found]


def test_signals_are_asked_for_as_the_device_does(pair_manifest: Manifest) -> None:
    script = says(text("a+"), text("b"), done_text(3))
    with ScriptedCloud(script) as cloud:
        rows = asyncio.run(_asked(cloud.address, pair_manifest))
        requests = cloud.requests
    assert {(row.id, row.number) for row in rows} == {(e.id, n) for e in SUMS for n in (0, 1)}
    assert {row.text for row in rows} == {"a+b"}
    assert {row.mean_log_probability for row in rows} == {None}
    assert all(list(each.encodings) == [SIGNAL_ENCODING_TEXT] and each.odds for each in requests)
    sampled = [each for each in requests if each.HasField("seed")]
    assert len(sampled) == 3
    assert {round(each.temperature, 3) for each in sampled} == {0.7}
    assert not any(char.isdigit() for each in requests for char in each.question)


def test_a_service_that_fails_is_reported(pair_manifest: Manifest) -> None:
    with pytest.raises(BenchError):
        asyncio.run(_asked("127.0.0.1:1", pair_manifest))


@pytest.fixture
def pair_manifest() -> Manifest:
    data = manifest_data(**PRIVATE_PAIR)
    return Manifest.model_validate(data)
