"""Ranks share each mini-batch evenly, and mini-batches stay what they are."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.utils.seqlen_balancing import calculate_workload

from duet_training.verl_backend.balance import balanced_order

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))


def _shares(order, ranks, minis):
    """Rows by rank and mini-batch, as VERL deals them out."""
    return np.array(order).reshape(ranks, minis, -1)


@settings(deadline=None)
@given(
    SHAPES.flatmap(
        lambda s: st.tuples(
            st.just(s), st.lists(st.integers(1, 20_000), min_size=prod(s), max_size=prod(s))
        )
    )
)
def test_a_mini_batch_has_the_same_rows_on_any_number_of_ranks(given_):
    (ranks, minis, each), lengths = given_
    size = ranks * each
    order = balanced_order(lengths, size, ranks)
    shares = _shares(order, ranks, minis)
    for mini in range(minis):
        rows = sorted(shares[:, mini].ravel().tolist())
        assert rows == list(range(mini * size, (mini + 1) * size))


def test_one_rank_keeps_the_order():
    assert balanced_order([5, 3, 9, 1], mini_batch=2, ranks=1) == [0, 1, 2, 3]


def test_the_slowest_of_four_ranks_has_as_much_as_the_mean():
    """Lengths of reasoning are about log-normal; the mini-batches are the paper's."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.lognormal(8.3, 0.8, 256), 17408).astype(int)
    work = np.array(calculate_workload(lengths))
    plain, balanced = (
        work[_shares(order, 4, 2)].sum(axis=2)
        for order in (range(256), balanced_order(lengths.tolist(), 128, 4))
    )
    excess = [float((kind.max(axis=0) / kind.mean(axis=0)).max() - 1) for kind in (plain, balanced)]
    assert excess[0] > 0.15
    assert excess[1] < 0.01
    tokens = lengths[_shares(balanced_order(lengths.tolist(), 128, 4), 4, 2)].sum(axis=2)
    assert (tokens.max(axis=0) / tokens.mean(axis=0)).max() < 1.05


@pytest.mark.parametrize("lengths", [[7] * 8, [1, 20_000] * 4])
def test_equal_rows_are_shared_evenly(lengths):
    shares = _shares(balanced_order(lengths, 8, 4), 4, 1)
    work = np.array(lengths)[shares].sum(axis=2)
    assert work.max() == work.min() or lengths[0] != lengths[1]
