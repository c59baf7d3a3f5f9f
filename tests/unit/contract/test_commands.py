"""How every installed command ends, whatever is raised; the numbers that options take."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duet_contract.commands import Integer, Number, Program
from duet_contract.console import OutputClosed, OutputLost, install_command
from duet_contract.errors import ContractError
from tests.doubles.commands import run_as


class Expected(Exception):
    exit_code = 5


PROGRAM = Program(
    name="duet-it",
    distribution="duet-contract",
    help="Do it.",
    commands={},
    errors=(Expected,),
    contract_code=6,
    output_code=9,
    memory_code=7,
)


def interrupted(error: Exception) -> Exception:
    """What is made of Ctrl-C in a place that maps every error to its own."""
    error.__cause__ = KeyboardInterrupt()
    return error


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (Expected("a\x1b[2J\nb"), 5, "a\\x1b[2J b"),
        (Expected(), 5, "Expected"),
        (ContractError("no pair"), 6, "no pair"),
        (OutputLost("cannot write to stdout: full"), 9, "cannot write to stdout: full"),
        (MemoryError(), 7, "out of memory or threads: "),
        (RuntimeError("can't start new thread"), 7, "out of memory or threads: "),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (interrupted(RuntimeError("release unlocked lock")), 130, "interrupted"),
        (interrupted(Expected("the decoder failed")), 130, "interrupted"),
        (interrupted(ContractError("no pair")), 130, "interrupted"),
        (ValueError("of no package"), 70, "internal error: ValueError: of no package"),
        (
            ModuleNotFoundError("No module named 'a.b'", name="a.b"),
            1,
            "Python package a is not installed; install it with: pip install it",
        ),
    ],
)
def test_whatever_is_raised_is_one_line(
    raised: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_as(PROGRAM, raising(raised)) == code
    # After Ctrl-C, click ends the line that shows ^C.
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"duet-it: {said}")


def test_a_reader_that_has_gone_needs_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_as(PROGRAM, raising(OutputClosed("gone"))) == 141
    assert capsys.readouterr().err == ""


def test_a_commands_own_code_is_the_exit_code() -> None:
    assert run_as(PROGRAM, lambda: 3) == 3
    assert run_as(PROGRAM, lambda: None) == 0


@pytest.mark.parametrize("wrong", ["\x1b]0;x\x07\n", "9" * 5000])
def test_a_message_quotes_no_control_character_and_no_long_value(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_as(PROGRAM, lambda: None, wrong) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
    assert len(said) < 300


@pytest.mark.parametrize(
    ("raised", "code", "kind"),
    [
        (Expected("no\x1b[2J"), 5, "Expected"),
        (ContractError("no pair"), 6, "ContractError"),
        (MemoryError(), 7, "MemoryError"),
        (interrupted(Expected("the decoder failed")), 130, "Interrupted"),
        (click.UsageError("wrong"), 2, "UsageError"),
    ],
)
def test_with_json_an_error_is_an_object(
    raised: Exception, code: int, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_as(PROGRAM, raising(raised), "--json") == code
    shown = capsys.readouterr()
    assert shown.err == ""
    (line,) = shown.out.splitlines()
    assert line.isprintable()
    error = json.loads(line)["error"]
    assert (error["type"], error["exit_code"]) == (kind, code)
    assert error["message"]


def test_json_behind_the_end_of_options_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_as(PROGRAM, lambda: None, "--", "--json") == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)


LAZY = Program(
    name="duet-it",
    distribution="duet-contract",
    help="Do it.",
    commands={"greet": ("tests.unit.contract.test_commands:greet", "Greet.")},
)


@click.command()
@click.option("--name", default="", help="Whom to greet.")
@click.option("--times", type=Integer(1, 3), help="How often.")
def greet(name: str, times: int | None) -> None:
    """Greet."""


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("help", 0, "Do it."),
        ("help greet", 0, "Usage: duet-it greet"),
        ("greet --help", 0, "Whom to greet.\n"),
        ("greet --help", 0, "How often.  [from 1 to 3]"),
        ("gret", 2, "'gret'. Did you mean 'greet'? See: duet-it --help\n"),
        ("help gret", 2, "Did you mean 'greet'?"),
        ("greet --times 4", 2, "4 is not in the range from 1 to 3; see: duet-it greet --help\n"),
        ("greet --times a", 2, "'a' is not a valid integer; see: duet-it greet --help\n"),
    ],
)
def test_help_and_what_a_mistyped_word_gets(
    line: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert LAZY.run(line.split()) == code
    out, err = capsys.readouterr()
    assert said in (err if code else out)


ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)


@given(ANY_FLOAT, st.none() | st.floats(-1e6, 1e6), st.floats(0, 1e6))
@example(math.nan, 0.0, 1.0)
@example(math.inf, None, 1.0)
def test_a_number_is_finite_and_in_its_range(
    number: float, least: float | None, span: float
) -> None:
    most = None if least is None else least + span
    kind = Number(least, most)
    inside = math.isfinite(number) and (least is None or most is None or least <= number <= most)
    if inside:
        assert kind.convert(str(number), None, None) == number
        return
    with pytest.raises(click.BadParameter):
        kind.convert(str(number), None, None)


def test_the_install_line_fits_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a b" / "cloud" / "duet_cloud" / "cli.py"
    wanted = (str(file), ("proto", "cloud[gpu]"), "duet-cloud[gpu]")
    assert install_command(*wanted) == "pip install 'duet-cloud[gpu]'"
    root = tmp_path / "a b"
    (root / "proto").mkdir(parents=True)
    (root / "proto" / "pyproject.toml").touch()
    assert install_command(*wanted) == f"pip install '{root}/proto' '{root}/cloud[gpu]'"
    monkeypatch.chdir(root)
    assert install_command(*wanted) == "pip install ./proto './cloud[gpu]'"
