"""Verifiers, and the traps that scored whole runs 0 or 1."""

import threading
import time

import pytest

from duet_contract.answers import ReferenceKind
from duet_contract.answers.reference import read_reference
from duet_training.data.rows import Problem
from duet_training.data.selection import judged_by
from duet_training.errors import VerifierError
from duet_training.evaluation.verifiers import Truth, make_verifier
from duet_training.evaluation.verifiers.gym import GymVerifier
from duet_training.evaluation.verifiers.math import MathVerifier
from duet_training.evaluation.verifiers.registry import VERIFIERS, check_verifier
from duet_training.evaluation.verifiers.strings import BoxedVerifier
from duet_training.evaluation.verifiers.timed import TimedPool
from duet_training.settings.binding import binding
from duet_training.settings.run import settings_from
from tests.doubles.judged import ALGEBRA, BOXED, PROSE


@pytest.fixture(scope="module")
def math():
    verifier = MathVerifier(processes=1, seconds=2.0)
    yield verifier
    verifier.close()


def test_the_table_of_judged_answers(math):
    for rows in (BOXED, ALGEBRA):
        responses = [rf"so \boxed{{{answer}}}" for _, answer, _ in rows]
        scores = math.score(responses, [Truth(reference) for reference, *_ in rows])
        assert [
            (*row, score) for row, score in zip(rows, scores, strict=True) if bool(score) != row[2]
        ] == []


def test_an_answer_without_a_box_is_wrong(math):
    responses, truths = [row[1] for row in PROSE], [Truth(row[0]) for row in PROSE]
    assert not any(
        score
        for score, response in zip(math.score(responses, truths), responses, strict=True)
        if "####" not in response
    )
    assert math.score(["#### 42"], [Truth("42")]) == [0.0]


def test_where_the_device_computes_arithmetic_is_right():
    verifier = MathVerifier(computed=False)
    try:
        responses = [r"\boxed{12\cdot 17}", r"\boxed{x=100+104}", r"\boxed{12\cdot 18}"]
        assert verifier.score(responses, [Truth("204")] * 3) == [1.0, 1.0, 0.0]
    finally:
        verifier.close()


def test_math_verify_is_asked_for_expressions_alone(math, monkeypatch):
    asked = []
    monkeypatch.setattr(
        math._pool, "map", lambda _, calls: asked.extend(calls) or [0.0] * len(calls)
    )
    answers = ["205", "12*17", r"\text{Monday}", "C", "x+2"]
    truths = [Truth(text) for text in ("204", "204", "Tuesday", "B", "(x+1)+1")]
    math.score([rf"\boxed{{{answer}}}" for answer in answers], truths)
    assert asked == [("(x+1)+1", "x+2")]


def test_without_math_verify_the_verifier_says_what_to_install(monkeypatch):
    monkeypatch.setattr("duet_training.evaluation.verifiers.algebra.available", lambda: False)
    with pytest.raises(VerifierError, match="math-verify is not installed; run: pip install"):
        make_verifier("math")


def test_math_works_off_the_main_thread(math):
    scores = []
    truth = Truth(r"2\sqrt{5}")
    response = r"\boxed{\sqrt{20}}"
    thread = threading.Thread(target=lambda: scores.extend(math.score([response], [truth])))
    thread.start()
    thread.join()
    assert scores == [1.0]


def test_a_hanging_answer_is_stopped_and_the_rest_is_scored(math):
    before, start = math.stopped, time.monotonic()
    responses = [r"\boxed{(x+y+z)^{300}-1}", r"\boxed{2x+2}"]
    assert math.score(responses, [Truth("2(x+1)")] * 2) == [0.0, 1.0]
    assert math.stopped == before + 1
    assert time.monotonic() - start < 120


def _sleep(seconds: float) -> float:
    time.sleep(seconds)
    return 1.0


def test_waiting_in_the_queue_is_not_counted():
    pool = TimedPool(processes=1, seconds=2.0)
    try:
        # The last call waits for longer than the limit before it starts.
        assert pool.map(_sleep, [[0.6]] * 4) == [1.0] * 4
        assert pool.stopped == 0
    finally:
        pool.close()


def test_choice():
    rows = [row for row in BOXED if read_reference(row[0]).kind is ReferenceKind.CHOICE]
    assert len(rows) > 20
    verifier = BoxedVerifier(ReferenceKind.CHOICE)
    for reference, answer, right in rows:
        assert verifier.score([rf"\boxed{{{answer}}}"], [Truth(reference)]) == [float(right)]
    assert verifier.score(["A", r"\boxed{b}"], [Truth("A"), Truth("b")]) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        (r"\boxed{a = 3}", "A", 0.0),
        (r"\boxed{\text{(C) } 5}", "C", 1.0),
        (r"\boxed{C. 5 m}", "C", 1.0),
        (r"\boxed{B or C}", "C", 0.0),
        ("Answer: C", "C", 0.0),
    ],
)
def test_a_box_chooses_one_letter(answer, reference, right):
    assert make_verifier("choice").score([answer], [Truth(reference)]) == [right]


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Step by step.\nAnswer: C", 1.0),
        ("**Answer: C**", 1.0),
        ("**Answer:** (C)", 1.0),
        ("Answer: $C$", 1.0),
        ("answer: c", 1.0),
        ("Answer: C) 5 m", 1.0),
        ("Answer: A\nNo.\nAnswer: C", 1.0),
        ("Answer: C\nNo.\nAnswer: A", 0.0),
        ("Answer: A or C", 0.0),
        ("Answer: c = 3", 0.0),
        ("Answer:", 0.0),
        ("The answer is C", 0.0),
        (r"\boxed{C}", 0.0),
        ("", 0.0),
    ],
)
def test_a_letter_is_read_where_the_released_script_asks_for_it(answer, right):
    assert make_verifier("letter").score([answer], [Truth("C")]) == [right]


UNCOMPUTED = [
    (r"\boxed{12\cdot 17}", "204"),
    (r"\boxed{7!\cdot 2}", "10080"),
    (r"\boxed{2^{10}}", "1024"),
    (r"\boxed{\binom{5}{2}}", "10"),
    (r"\boxed{x=100+104}", "204"),
]


@pytest.mark.parametrize("name", ["math", "number", "released"])
def test_no_verifier_computes_for_the_models(name):
    verifier = make_verifier(name)
    try:
        truths = [Truth(reference) for _, reference in UNCOMPUTED]
        assert verifier.score([answer for answer, _ in UNCOMPUTED], truths) == [0.0] * 5
        done = [rf"\boxed{{{reference}}}" for _, reference in UNCOMPUTED]
        assert verifier.score(done, truths) == [1.0] * 5
    finally:
        verifier.close()


@pytest.mark.parametrize("name", ["math", "number"])
def test_a_pair_whose_device_computes_leaves_arithmetic_to_it(name):
    verifier = make_verifier(name, computed=False)
    try:
        assert verifier.score([UNCOMPUTED[0][0]], [Truth("204")]) == [1.0]
    finally:
        verifier.close()


def test_the_released_verifier_compares_strings(capsys):
    verifier = make_verifier("released")
    rows = [
        (r"\boxed{\frac12}", r"\frac{1}{2}", 1.0),
        (r"\boxed{1/2}", r"\frac{1}{2}", 1.0),
        (r"\boxed{0.25}", r"\frac{1}{4}", 0.0),
        (r"\boxed{1,000}", "1000", 0.0),
        (r"\boxed{(1,2)}", "(1, 2)", 1.0),
        (r"\boxed{5", "5", 0.0),
        (r"\boxed 5$", "5", 1.0),
    ]
    assert verifier.score([r[0] for r in rows], [Truth(r[1]) for r in rows]) == [r[2] for r in rows]
    assert capsys.readouterr().out == ""


def test_one_verifier_may_judge_all_rows():
    problems = [Problem("1", "q", "1", "s"), Problem("2", "q", "B", "s", "choice")]
    assert judged_by(problems, "rows") == problems
    assert [p.verifier for p in judged_by(problems, "released")] == ["released"] * 2
    needed = ["pair=p", "out=o", "data.train=t"]
    assert "verifier" not in binding(settings_from(needed))["data"]
    bound = binding(settings_from([*needed, "data.verifier=released"]))["data"]
    assert bound["verifier"] == "released"


@pytest.mark.parametrize("name", list(VERIFIERS))
def test_a_built_in_verifier_is_checked_when_it_is_made(name, monkeypatch):
    """As it comes it passes; one that scores everything alike, or wrong, never reaches a run."""
    verifier = make_verifier(name)
    kind = type(verifier)
    try:
        examples = verifier.examples()
        wanted = [score for *_, score in examples]
        scored = verifier.score([e[0] for e in examples], [e[1] for e in examples])
        assert scored == wanted
        assert {0.0, 1.0} <= set(wanted)
    finally:
        verifier.close()
    for broken in (lambda *_: [1.0] * len(wanted), lambda *_: [0.0] * len(wanted)):
        monkeypatch.setattr(kind, "score", broken)
        with pytest.raises(VerifierError, match=f"verifier '{name}' scored"):
            make_verifier(name)


def test_gym_gives_no_partial_credit():
    verifier = GymVerifier()
    try:
        entry = {"question": "", "answer": "7", "metadata": {"source_dataset": "gsm_symbolic"}}
        truths = [Truth("7", {"entry": entry})] * 2
        assert verifier.score([r"\boxed{7}", r"\boxed{6}"], truths) == [1.0, 0.0]
    finally:
        verifier.close()


class _Generous(BoxedVerifier):
    def score(self, responses, truths):
        return [1.0] * len(responses)


class _Broken(BoxedVerifier):
    def score(self, responses, truths):
        return [0.0] * len(responses)


class _OneSided(BoxedVerifier):
    def examples(self):
        return super().examples()[:2]


@pytest.mark.parametrize(
    "verifier", [kind(ReferenceKind.CHOICE) for kind in (_Generous, _Broken, _OneSided)]
)
def test_the_check_catches_a_verifier_that_cannot_tell(verifier):
    with pytest.raises(VerifierError):
        check_verifier(verifier, "mine")


@pytest.mark.parametrize(
    "name", ["maths", "training.nothing:Here", "duet_training.evaluation.verifiers:Nothing"]
)
def test_unknown_verifier_is_one_line(name):
    with pytest.raises(VerifierError) as caught:
        make_verifier(name)
    assert "\n" not in str(caught.value)
