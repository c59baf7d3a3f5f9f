"""What the receipt line says, and what a terminal is kept from."""

import contextlib
import io
import sys
import unicodedata
from unittest.mock import Mock

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.receipt import Bytes, Flops, Milliseconds, Receipt, Tokens
from duet_device.cli import main
from duet_device.commands.output import Output, receipt_details, receipt_line, show_error
from duet_device.errors import CloudRefused, ExitCode
from duet_device.events import AnswerText, Note, Result, SignalText, Timings


def receipt(**changes: object) -> Receipt:
    values: dict[str, object] = {
        "answer": "42",
        "signal": "s",
        "source": "duet",
        "pair": "p@1.0.0",
        "request_id": "r",
        "finish": "end",
        "tokens": Tokens(question=5, signal=42, answer=118),
        "bytes": Bytes(up=310, down=402),
        "ms": Milliseconds(
            connect=3.0, first_signal=900.0, signal=1700.0, first_answer=1900.0, total=3100.0
        ),
        "flops": Flops(reasoner=11.3e9, reasoner_alone=43.0e9),
    }
    return Receipt.model_validate({**values, **changes})


def test_receipt_line() -> None:
    assert receipt_line(receipt()) == "42 large-model tokens, 712 B, 3.1 s"
    compared = {"tokens": Tokens(question=5, signal=42, answer=118, alone=122)}
    assert receipt_line(receipt(**compared)) == (
        "42 large-model tokens (before training: about 122), 712 B, 3.1 s"
    )
    peer = {"tokens": Tokens(question=5, signal=7, answer=12, peer=44)}
    assert receipt_line(receipt(**peer)) == "7 large-model tokens, 712 B, 3.1 s"
    assert receipt_line(receipt(value="16", **peer)) == (
        "7 large-model tokens (one model alone: about 44), 712 B, 3.1 s"
    )
    assert receipt_line(receipt(finish="end+budget", **compared)) == (
        "42 large-model tokens (budget), 712 B, 3.1 s"
    )
    assert "training" not in receipt_line(receipt(outcome="partial", **compared))
    assert "training" not in receipt_line(receipt(source="device", **compared))
    assert receipt_line(receipt(finish="end+budget", source="history")) == (
        "stored signal of 42 tokens (budget), 712 B, 3.1 s"
    )


@given(
    counts=st.tuples(*[st.integers(0, 10**6)] * 3),
    total=st.floats(0, 1e7),
    finish=st.sampled_from(["end", "limit", "limit+budget"]),
    source=st.sampled_from(["duet", "device", "history"]),
    alone=st.none() | st.integers(0, 99_999),
    peer=st.none() | st.integers(0, 99_999),
)
def test_receipt_line_fits_a_terminal(
    counts: tuple[int, int, int],
    total: float,
    finish: str,
    source: str,
    alone: int | None,
    peer: int | None,
) -> None:
    line = receipt_line(
        receipt(
            value="16",
            source=source,
            finish=finish,
            tokens=Tokens(question=5, signal=counts[0], answer=7, alone=alone, peer=peer),
            bytes=Bytes(up=counts[1], down=counts[2]),
            ms=Milliseconds(
                connect=None, first_signal=None, signal=None, first_answer=None, total=total
            ),
        )
    )
    assert len(f"{line}, stored as 01234567") <= 100
    assert len(line) < 80


def test_receipt_details() -> None:
    assert receipt_details(receipt()) == (
        "duet · 42 signal tokens · 118 answer tokens · 310 B up · 402 B down · "
        "first answer 1.9 s · total 3.1 s · large model 11.3 of 43.0 GFLOPs"
    )


def test_receipt_details_say_what_was_cut() -> None:
    line = receipt_details(receipt(finish="limit+budget"))
    assert "42 signal tokens (cut at the budget) · 118 answer tokens (cut at the limit)" in line


def test_receipt_of_the_device_alone() -> None:
    alone = receipt(source="device", bytes=Bytes(up=0, down=0))
    assert receipt_line(alone) == "device alone, 3.1 s"
    line = receipt_details(alone)
    assert line == "device alone · 118 answer tokens · first answer 1.9 s · total 3.1 s"


@pytest.mark.parametrize("doubtful", [False, True])
def test_a_doubtful_answer_is_marked(doubtful: bool, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False, show_signal=False, quiet=True)
    output.receipt(receipt(confidence=0.2, low_confidence=doubtful))
    assert ("low confidence" in capsys.readouterr().err) == doubtful


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_styles_where_they_are_not_wanted(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv(variable, value)
    Output(as_json=False, show_signal=True, quiet=True).signal("because")
    assert err.getvalue() == "because"


def test_a_terminal_shows_the_answer_as_a_person_writes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    output = Output(as_json=False, show_signal=False, quiet=True)
    for text in "She has \\boxed{1{,}600} left, \\not \\boxed{12":
        output.answer(text)
    output.end(receipt(answer="..."))
    assert out.getvalue() == "She has 1,600 left, \\not \\boxed{12\n"


def test_errors_cannot_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(click.Group, "main", Mock(side_effect=CloudRefused("\x1b[2Jno\x9b1m")))
    assert main(["pairs"]) == ExitCode.REFUSED
    assert capsys.readouterr().err == "duet-device: \\x1b[2Jno\\x9b1m\n"


def numpy_without_memory() -> ImportError:
    """Its own words hide what happened."""
    error = ImportError("you should not try to import numpy from its source directory")
    error.__cause__ = ImportError("numpy.so: failed to map segment from shared object")
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        OSError(12, "Cannot allocate memory"),
        numpy_without_memory(),
    ],
)
def test_a_lack_of_memory_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(click.Group, "main", Mock(side_effect=error))
    assert main(["pairs"]) == ExitCode.MODEL
    assert capsys.readouterr().err.startswith("duet-device: out of memory or threads: ")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ImportError("another"), OSError(5, "x")])
def test_other_errors_are_not_taken_for_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(click.Group, "main", Mock(side_effect=error))
    assert main(["pairs"]) == 70
    assert "internal error" in capsys.readouterr().err


def test_why_to_doubt_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False, show_signal=False, quiet=True)
    doubts = ("4*1.50=7 does not hold", "the answer is not the signal's last result")
    output.receipt(receipt(doubts=doubts, low_confidence=True))
    assert f"low confidence: {', '.join(doubts)}; check it" in capsys.readouterr().err
    output.receipt(receipt(low_confidence=True))
    assert "this pair may not know" in capsys.readouterr().err


def test_answer_is_written_as_it_is_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False, show_signal=False, quiet=True)
    output.signal("never shown")
    output.answer("b\033[1m\n")
    output.end(receipt())
    output.receipt(receipt())
    assert capsys.readouterr() == ("b\033[1m\n", "")


def test_what_ends_a_question_is_told_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = Terminal()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    output = Output(as_json=False, show_signal=True, quiet=True)
    output.answer("half of an ans")
    output.break_off()
    assert both.getvalue() == "half of an ans\n"
    output.break_off()
    assert both.getvalue() == "half of an ans\n"


# What a hostile model or cloud would choose from: controls, escapes, reordering, line ends, boxes.
hostile_text = st.text(
    alphabet="\x1b\x9b\x07\x08\r\x7f\0\u2028\u202e\u2066\u200f\udcff\n\t[]0;2JHk\\boxed{}ab é中",
    max_size=60,
)
_REORDERS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def controls(text: str) -> set[str]:
    """Characters in a text that do more on a terminal than being shown."""
    return {
        each
        for each in text
        if each in _REORDERS
        or (unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") and each not in "\n\t")
    }


@given(texts=st.lists(hostile_text, max_size=4), as_json=st.booleans())
def test_nothing_that_a_model_or_a_cloud_says_reaches_a_terminal_unescaped(
    texts: list[str], as_json: bool
) -> None:
    out, err = Terminal(), Terminal()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setenv("NO_COLOR", "1")
        output = Output(as_json=as_json, show_signal=True, quiet=False, show_work=True)
        for text in texts:
            output.show(SignalText(text))
            output.show(AnswerText(text))
            output.show(Note(text))
        said = "".join(texts).encode("utf-8", "replace").decode()
        whole = receipt(answer=said, signal=said, work=(said,), doubts=(said,), value=said)
        output.show(Result(whole, Timings(None, None, None, 0, 0), ()))
        output.receipt(whole)
        for text in texts:
            show_error(CloudRefused(text))
    assert not controls(out.getvalue())
    assert not controls(err.getvalue())
