"""The guarantee holds: exact tests, and coverage on simulated questions over many seeds."""

import math
import random
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.calibration.cases import Case, Point
from duet_device.calibration.fitting import Goal, fit
from duet_device.calibration.guarantee import in_sequence, most_wrong, needed, p_value

SEEDS, ROWS = 60, 240


def simulated(random_: random.Random, rows: int) -> list[Case]:
    """Questions whose answer is surely right where the measure is above a half, and rarely below."""
    made = []
    for _ in range(rows):
        value = random_.random()
        point = Point({"sure": value, "noise": random_.random()}, random_.random() < 2 * value, 0)
        made.append(Case((point,), Point({}, True, 10)))
    return made


def true_risk(at_least: float) -> float:
    return max(0.0, 0.5 - at_least) ** 2 / (1 - at_least)


def test_the_guarantee_covers_simulated_questions() -> None:
    goal = Goal(risk=0.15, failure=0.1)
    broken = fitted = 0
    for seed in range(SEEDS):
        cases = simulated(random.Random(seed), ROWS)
        made = fit(cases[: ROWS // 2], cases[ROWS // 2 :], goal)
        assert made
        assert made.ranked[0].measure == "sure"
        if made.threshold is not None:
            fitted += 1
            broken += true_risk(made.threshold.at_least) > goal.risk
    # Three standard deviations above what is allowed; and it is not empty words.
    assert broken <= SEEDS * goal.failure + 3 * math.sqrt(SEEDS * goal.failure * 0.9)
    assert fitted > SEEDS / 2


def test_a_saving_is_stated_with_the_risk_that_it_has() -> None:
    goal = Goal(failure=0.1, saving=0.5)
    broken = 0
    for seed in range(SEEDS):
        cases = simulated(random.Random(seed), ROWS)
        made = fit(cases[: ROWS // 2], cases[ROWS // 2 :], goal)
        assert made
        assert made.threshold
        assert 0.3 < made.threshold.trusted < 0.7
        broken += true_risk(made.threshold.at_least) > made.threshold.risk
    assert broken <= SEEDS * goal.failure + 3 * math.sqrt(SEEDS * goal.failure * 0.9)


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 0.99))
def test_the_p_value_is_the_binomial_tail(wrong: int, trusted: int, risk: float) -> None:
    terms = (
        math.comb(trusted, k) * risk**k * (1 - risk) ** (trusted - k) for k in range(trusted + 1)
    )
    tails = list(accumulate(terms))
    assert p_value(wrong, trusted, risk) == pytest.approx(tails[min(wrong, trusted)], abs=1e-9)


@given(st.floats(0.01, 0.5), st.floats(0.001, 0.3))
def test_the_rows_it_needs_are_the_fewest(risk: float, failure: float) -> None:
    least = needed(risk, failure)
    assert p_value(0, least, risk) <= failure * (1 + 1e-9)
    assert p_value(0, least - 1, risk) > failure * (1 - 1e-9)


@given(st.integers(0, 40), st.integers(1, 40), st.floats(0.01, 0.3))
def test_the_upper_limit_is_where_the_test_turns(wrong: int, trusted: int, failure: float) -> None:
    limit = most_wrong(wrong, trusted, failure)
    if wrong >= trusted:
        assert limit == 1
    else:
        assert p_value(wrong, trusted, limit) == pytest.approx(failure, abs=1e-6)


def test_the_sequence_ends_at_the_first_that_fails() -> None:
    assert in_sequence([], 0.1, 0.05) == 0
    assert in_sequence([(9, 10), (0, 100)], 0.1, 0.05) == 0
