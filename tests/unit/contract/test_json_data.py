"""JSON of any origin, and JSON that any program can read."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.json_data import json_text, parse_json, read_json, without_infinities

FLOATS = st.floats(allow_nan=True, allow_infinity=True)
DATA = st.recursive(
    st.none() | st.booleans() | FLOATS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@given(DATA)
@pytest.mark.slow
def test_what_is_written_is_read_again_by_any_program(data):
    text = json_text(without_infinities(data))
    found = json.loads(text, parse_constant=pytest.fail)
    assert parse_json(text) == found == without_infinities(data)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_cannot_hold_is_not_written(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        json_text({"a": [value]})


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[" * 200_000, '{"a":' * 100_000, "{"],
)
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_a_models_configuration_may_hold_infinity():
    assert parse_json("[0.0, Infinity]", finite=False) == [0.0, math.inf]
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 200_000, finite=False)


def test_a_file_is_bounded_and_may_have_a_byte_order_mark(tmp_path):
    file = tmp_path / "data.json"
    file.write_text("\ufeff[1, 2]", "utf-8")
    assert read_json(file) == [1, 2]
    with pytest.raises(ValueError, match="it is larger than 8 bytes"):
        read_json(file, 8)


@given(st.binary())
def test_nothing_but_a_value_error(data):
    with contextlib.suppress(ValueError):
        parse_json(data)
