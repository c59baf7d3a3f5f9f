"""Text of others, on a terminal and in JSON."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.terminal import json_escaped, one_line, printable, printable_json

CONTROLS = [
    *(chr(code) for code in range(0x20) if chr(code) not in "\n\t"),
    *(chr(code) for code in range(0x7F, 0xA0)),
    "\u2028",
    "\u2029",
    "\u061c",
    "\u200e",
    "\u200f",
    *(chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    "\ud800",
    "\udcff",
]
# Mostly ordinary, with many of the characters that this is about.
ANYTHING = st.text(st.one_of(st.characters(), st.sampled_from(CONTROLS)))


def is_safe(text: str) -> bool:
    return not set(text) & set(CONTROLS)


def test_every_control_is_seen_and_none_acts() -> None:
    for control in CONTROLS:
        shown = printable(f"a{control}b")
        assert is_safe(shown)
        assert shown[0] + shown[-1] == "ab"
        assert f"{ord(control):x}" in shown


@given(ANYTHING)
def test_nothing_that_is_printed_controls_a_terminal(text: str) -> None:
    shown = printable(text)
    assert is_safe(shown)
    assert all(unicodedata.category(each) != "Cc" for each in shown if each not in "\n\t")
    # Once escaped it stays as it is.
    assert printable(shown) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"])))
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


@given(ANYTHING)
def test_one_line_is_one(text: str) -> None:
    line = one_line(text)
    assert is_safe(line)
    assert len(line.splitlines()) <= 1
    assert "\t" not in line


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | ANYTHING,
    lambda inner: st.lists(inner) | st.dictionaries(ANYTHING, inner),
    max_leaves=8,
)


@given(JSON)
@pytest.mark.slow
def test_json_stays_the_same_data_and_is_safe(data: object) -> None:
    text = printable_json(data)
    assert is_safe(text)
    assert json.loads(text) == data


@given(JSON)
@pytest.mark.slow
def test_json_of_others_stays_the_same_data(data: object) -> None:
    """Protobuf and pydantic write characters as they are, as this does."""
    text = json_escaped(json.dumps(data, ensure_ascii=False))
    assert is_safe(text)
    assert json.loads(text) == data


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_has_no_such_number(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        printable_json({"total": number})
