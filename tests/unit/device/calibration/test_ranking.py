"""Ranking measures: against definitions written out."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.calibration.ranking import aurc, auroc, ece, isotonic

JUDGED = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), max_size=12)


@given(JUDGED)
def test_auroc_counts_pairs(judged: list[tuple[float, bool]]) -> None:
    pairs = [
        (right > wrong) + (right == wrong) / 2
        for (right, yes), (wrong, no) in product(judged, judged)
        if yes and not no
    ]
    found = auroc(judged)
    assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


@given(JUDGED)
def test_a_measure_that_is_the_same_everywhere_has_the_risk_of_all(
    judged: list[tuple[float, bool]],
) -> None:
    same = [(0.5, right) for _, right in judged]
    wrong = sum(not right for right in (right for _, right in judged))
    assert abs(aurc(same) - (wrong / len(judged) if judged else 0.0)) < 1e-9


@given(JUDGED)
def test_isotonic_rises_and_keeps_the_mean(judged: list[tuple[float, bool]]) -> None:
    knots = isotonic(judged)
    chances = [chance for _, chance in knots]
    assert chances == sorted(chances)
    assert [value for value, _ in knots] == sorted({value for value, _ in knots})
    stated = [
        next(chance for least, chance in reversed(knots) if value >= least) for value, _ in judged
    ]
    assert abs(sum(stated) - sum(right for _, right in judged)) < 1e-9


@given(JUDGED, st.integers(1, 20))
def test_the_share_that_is_right_stated_of_all_has_no_error(
    judged: list[tuple[float, bool]], bins: int
) -> None:
    share = sum(right for _, right in judged) / max(1, len(judged))
    assert ece([(share, right) for _, right in judged], bins) < 1e-9


@given(JUDGED)
def test_what_isotonic_states_of_its_own_answers_has_no_error(
    judged: list[tuple[float, bool]],
) -> None:
    knots = isotonic(judged)
    stated = [
        (next(chance for least, chance in reversed(knots) if value >= least), right)
        for value, right in judged
    ]
    assert ece(stated) < 1e-9


def test_stated_probabilities_that_are_met_have_no_error() -> None:
    assert ece([(0.75, right) for right in (True, True, True, False)], bins=1) == 0
    assert ece([(1.0, False)] * 3) == 1
    assert ece([]) == 0
