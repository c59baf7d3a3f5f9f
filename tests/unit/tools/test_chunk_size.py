"""A recorded signal, cut again into chunks of one size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_tools.bench.chunk_size import SIGNAL, SIZES, in_chunks
from duet_tools.bench.replay import chunk_sizes


@pytest.mark.parametrize(
    ("size", "sizes"), [(1, [1] * 8), (3, [1, 3, 3, 1]), (7, [1, 7]), (9, [1, 7])]
)
def test_the_first_token_is_a_chunk_and_the_rest_are_of_one_size(
    size: int, sizes: list[int]
) -> None:
    assert chunk_sizes(in_chunks([*range(8)], size)) == sizes


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(1, 50))
def test_no_token_is_lost(ids: list[int], size: int) -> None:
    assert in_chunks(ids, size).ids == ids


def test_every_size_ends_with_a_whole_chunk() -> None:
    assert {(SIGNAL - 1) % size for size in SIZES} == {0}
