"""JSON that others wrote."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.json_data import parse_json


@given(st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=5))
def test_what_was_written_is_read(data: object) -> None:
    assert parse_json(json.dumps(data)) == data
    assert parse_json(json.dumps(data).encode()) == data


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 1100 + "]" * 1100 + ","])
def test_depth_is_an_error_like_others(text: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply|Extra data"):
        parse_json(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_python_writes_numbers_that_json_has_not(text: str) -> None:
    with pytest.raises(ValueError, match="is not a JSON number"):
        parse_json(text)


@given(st.binary())
def test_nothing_but_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_json(data)
