"""An answer that streams to a terminal: boxes are opened, and nothing else changes or is lost."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.commands import plain_answer
from duet_device.commands.plain_answer import PlainAnswer


def shown(text: str, size: int) -> str:
    answer = PlainAnswer()
    parts = [answer.feed(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join([*parts, answer.finish()])


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r"\boxed{16}", "16"),
        (r"It is \boxed{\text{16 apples}}.", "It is 16 apples."),
        (r"\boxed {\frac{1}{2}} or \fbox{0.5}", "1/2 or 0.5"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"C:\boxes\box", r"C:\boxes\box"),
        (r"never closed \boxed{1{2}", r"never closed \boxed{1{2}"),
        (r"\boxed{" + "1" * 2000 + "}", r"\boxed{" + "1" * 2000 + "}"),
    ],
)
def test_boxes_are_opened(text: str, wanted: str, size: int) -> None:
    assert shown(text, size) == wanted


@given(st.text("\\boxedf{} 1"), st.integers(1, 9))
def test_the_chunks_make_no_difference(text: str, size: int) -> None:
    assert shown(text, size) == shown(text, 1)


@given(st.text().filter(lambda text: "box" not in text), st.integers(1, 9))
def test_what_holds_no_box_is_shown_as_it_is(text: str, size: int) -> None:
    assert shown(text, size) == text


def test_examples() -> None:
    assert doctest.testmod(plain_answer) == (0, 3)
