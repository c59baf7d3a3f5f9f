"""Verifiers, and the traps that scored whole runs 0 or 1."""

import threading
import time

import pytest

from training.errors import VerifierError
from training.verifiers import Truth, make_verifier
from training.verifiers.boxed import last_boxed
from training.verifiers.choice import ChoiceVerifier, chosen_letter
from training.verifiers.gym import GymVerifier
from training.verifiers.math import MathVerifier
from training.verifiers.registry import VERIFIERS, check_verifier
from training.verifiers.timed import TimedPool


@pytest.fixture(scope="module")
def math():
    verifier = MathVerifier(processes=1, seconds=2.0)
    yield verifier
    verifier.close()


@pytest.mark.parametrize(
    ("response", "boxed"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{1} then \boxed{2", "1"),
        (r"\fbox{3} \fboxed{4}", "4"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("12 and 15", None),
    ],
)
def test_last_boxed(response, boxed):
    assert last_boxed(response) == boxed


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        (r"\frac{1}{2}", "0.5", 1),
        ("70,000", "70000", 1),
        ("x^2+2x+1", "(x+1)^2", 1),
        (r"\frac{3\sqrt{3}}{4}", r"\frac{3}{4}\sqrt{3}", 1),
        (r"\text{Evelyn}", r"\text{Evelyn}", 1),
        ("-5", "5", 0),
        (r"\frac{1}{} 12", "12", 0),
        # Not symmetric: an interval may answer an inequality, and not the other way round.
        ("(1,2)", "1<x<2", 1),
        ("1<x<2", "(1,2)", 0),
    ],
)
def test_math(math, answer, reference, score):
    assert math.score([rf"so \boxed{{{answer}}}"], [Truth(reference)]) == [score]


def test_math_works_off_the_main_thread(math):
    scores = []
    truth = Truth(r"\frac{1}{4}")
    thread = threading.Thread(target=lambda: scores.extend(math.score([r"\boxed{0.25}"], [truth])))
    thread.start()
    thread.join()
    assert scores == [1.0]


def test_a_hanging_answer_is_stopped_and_the_rest_is_scored(math):
    before, start = math.stopped, time.monotonic()
    responses = [r"\boxed{2003^{2002^{2001}}}", r"\boxed{3+4}"]
    assert math.score(responses, [Truth("7"), Truth("7")]) == [0.0, 1.0]
    assert math.stopped == before + 1
    assert time.monotonic() - start < 15


def _sleep(seconds: float) -> float:
    time.sleep(seconds)
    return 1.0


def test_waiting_in_the_queue_is_not_counted():
    pool = TimedPool(processes=1, seconds=1.0)
    try:
        # The last call waits for longer than the limit before it starts.
        assert pool.map(_sleep, [[0.4]] * 4) == [1.0] * 4
        assert pool.stopped == 0
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{\textbf{(c)}}", "C"),
        (r"\boxed{D. the last}", "D"),
        (r"\boxed{Both}", None),
        ("A", None),
    ],
)
def test_choice(response, letter):
    assert chosen_letter(response) == letter


@pytest.mark.parametrize("name", list(VERIFIERS))
def test_a_shipped_verifier_is_checked_when_it_is_made(name, monkeypatch):
    """As shipped it passes; one that scores everything alike, or wrong, never reaches a run."""
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


class _Generous(ChoiceVerifier):
    def score(self, responses, truths):
        return [1.0] * len(responses)


class _Broken(ChoiceVerifier):
    def score(self, responses, truths):
        return [0.0] * len(responses)


class _OneSided(ChoiceVerifier):
    def examples(self):
        return super().examples()[:2]


@pytest.mark.parametrize("verifier", [_Generous(), _Broken(), _OneSided()])
def test_the_check_catches_a_verifier_that_cannot_tell(verifier):
    with pytest.raises(VerifierError):
        check_verifier(verifier, "mine")


@pytest.mark.parametrize("name", ["maths", "training.nothing:Here", "training.verifiers:Nothing"])
def test_unknown_verifier_is_one_line(name):
    with pytest.raises(VerifierError) as caught:
        make_verifier(name)
    assert "\n" not in str(caught.value)
