"""Intervals: known values, and what must hold for any numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_report import intervals


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    # Wilson's interval, as published for these counts (Newcombe 1998, table I, method 3).
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_proportions_have_wilson_s_interval(right, count, low, high):
    found = intervals.proportion(right, count)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportion_is_inside_its_interval(counts):
    found = intervals.proportion(*counts)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_means_of_runs_have_student_s_interval():
    # t(0.975, 2) = 4.3027, standard deviation 1, three runs.
    found = intervals.mean_of_runs([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert found.high - found.value == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert intervals.mean_of_runs([0.5]) == intervals.Interval(value=0.5, low=0.5, high=0.5)
    assert intervals.mean_of_runs([0.5, 0.5]) == intervals.Interval(value=0.5, low=0.5, high=0.5)


def test_whole_questions_are_drawn():
    # Two samples of each question that agree: no more independent than the questions.
    once = np.array([[0.0], [1.0], [1.0], [0.0], [1.0]])
    assert intervals.bootstrap_mean(once) == intervals.bootstrap_mean(np.hstack([once, once]))
    # A sum of 10 shares of 0.6, by the binomial distribution: 0.2 to 1.
    found = intervals.bootstrap_mean(once)
    assert (found.value, found.low, found.high) == (0.6, 0.2, 1.0)


def test_a_share_of_sums_is_weighted_by_counts():
    found = intervals.bootstrap_share(np.array([1.0, 9.0]), np.array([10.0, 10.0]))
    assert (found.value, found.low, found.high) == (0.5, 0.1, 0.9)


def test_pairs_cancel_what_questions_have_in_common():
    base = np.linspace(1, 100, 60)
    paired = intervals.difference_of_means(base + 1, base, paired=True)
    apart = intervals.difference_of_means(base + 1, base, paired=False)
    assert (paired.low, paired.high) == (pytest.approx(1), pytest.approx(1))
    assert apart.low < 0 < apart.high


def test_no_ratio_to_nothing():
    zeros = np.zeros(5)
    assert intervals.ratio_of_medians(zeros + 1, zeros, paired=True) is None
    ratio = intervals.ratio_of_medians(np.full(5, 2.0), np.ones(5), paired=True)
    assert ratio == intervals.Interval(value=2, low=2, high=2)


def test_seeds_and_questions_are_both_drawn():
    base = np.zeros((2, 40))
    subject = np.vstack([np.ones(40), np.zeros(40)])
    found = intervals.difference_over_seeds(subject, base)
    # Both seeds of the subject can be the good one, or the bad one.
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_a_difference_of_estimates_is_newcombe_s():
    # 56/70 against 48/80: 0.2 (0.0524 to 0.3339), Newcombe 1998, table II, method 10.
    found = intervals.difference_of_estimates(
        intervals.proportion(56, 70), intervals.proportion(48, 80)
    )
    assert (found.value, found.low, found.high) == (
        pytest.approx(0.2),
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )
