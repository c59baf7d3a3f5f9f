"""`duet-device` as a process whose streams are closed, full, gone, non-blocking, or a terminal.

Processes are slow: `duet_contract.console` has the promises one by one, here is that the program
keeps them.
"""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from duet_device.errors import ExitCode
from tests.doubles.manifests import manifest_data

pytestmark = pytest.mark.slow

ANSWER = "häppy 🙂\n".encode()
# The installed program, with a decoder that needs no model.
PROGRAM = """
import os, sys
from duet_device import session
from duet_device.cli import main
from tests.doubles.decoder import ScriptedDecoder, answering as saying
text = os.environ.get("TEST_ANSWER", "häppy 🙂")
session.load_decoder = lambda pair, threads: ScriptedDecoder(saying(text, " A:"))
sys.exit(main())
"""
ASK = ("ask", "why?", "--device-only", "--quiet")


def start(*arguments: str, redirection: str = "", **options: object) -> subprocess.Popen[bytes]:
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh"]
    command = [*shell, sys.executable, "-c", PROGRAM, *arguments]
    streams = {"stdin": subprocess.DEVNULL, "stdout": -1, "stderr": -1}
    return subprocess.Popen(command, **{**streams, **options})  # type: ignore[call-overload, no-any-return]


def ends(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


CLOSED = b"duet-device: cannot write to stdout: Bad file descriptor\n"
FULL = b"duet-device: cannot write to stdout: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "redirection", "code", "out", "err"),
    [
        (ASK, ">&-", ExitCode.OUTPUT, b"", CLOSED),
        ((*ASK, "--json"), ">/dev/full", ExitCode.OUTPUT, b"", FULL),
        (("--help",), ">/dev/full", ExitCode.OUTPUT, b"", FULL),
        (("doctor", "proxy", "memory"), ">/dev/full", ExitCode.OUTPUT, b"", FULL),
        (("ask", "why?", "--device-only"), "2>&-", ExitCode.OK, ANSWER, b""),
        (("ask", "why?", "--device-only"), "2>/dev/full", ExitCode.OK, ANSWER, b""),
    ],
)
def test_an_answer_is_written_or_its_loss_is_told(
    arguments: tuple[str, ...],
    redirection: str,
    code: int,
    out: bytes,
    err: bytes,
    installed: Path,
) -> None:
    assert ends(start(*arguments, redirection=redirection)) == (code, out, err)


@pytest.mark.parametrize("arguments", [ASK, ("--help",)])
def test_no_one_reads(arguments: tuple[str, ...], installed: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*arguments, stdout=writer)
    os.close(writer)
    assert ends(process) == (ExitCode.STDOUT_CLOSED, None, b"")


@pytest.mark.parametrize(
    ("arguments", "redirection", "said"),
    [
        (("ask",), "<&-", "cannot read the question from stdin: Bad file descriptor; give it"),
        (("ask", "-"), "0>/dev/null", "cannot read the question from stdin"),
        (("ask", "why?", "--context", "-"), "<&-", "cannot read the context from stdin"),
        (("rm", "bytes"), "<&-", "duet-device rm --yes bytes deletes without asking"),
    ],
)
def test_stdin_that_cannot_be_read(
    arguments: tuple[str, ...], redirection: str, said: str, installed: Path
) -> None:
    code, out, err = ends(start(*arguments, redirection=redirection))
    assert (code, out) == (ExitCode.USAGE, b"")
    assert said in err.decode()
    assert b"Traceback" not in err


def on_a_terminal(*arguments: str, **environment: str) -> bytes:
    """What a terminal is sent: stdout and stderr."""
    ours, theirs = pty.openpty()
    process = start(*arguments, stdout=theirs, stderr=theirs, env={**os.environ, **environment})
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how Linux reports that the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(60) == ExitCode.OK
    return shown


HOSTILE = "\x1b]0;owned\x07 \x9b2J \x7f \u202egnp.exe"


def test_no_pair_controls_a_terminal(installed: Path) -> None:
    """Its folder's name and its manifest are what others chose."""
    pairs = Path(os.environ["DUET_PAIRS"])
    (pairs / f"name{HOSTILE}").mkdir()
    (pairs / f"name{HOSTILE}" / "manifest.json").write_text("[" * 100_000)
    (pairs / "key").mkdir()
    (pairs / "key" / "manifest.json").write_text(json.dumps({**manifest_data(), HOSTILE: 1}))
    shown = on_a_terminal("pairs").decode()
    assert "nested too deeply" in shown
    assert "bytes" in shown
    assert not {"\x1b", "\x07", "\x9b", "\x7f", "\u202e"} & set(shown)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_answer_controls_a_terminal(options: tuple[str, ...], installed: Path) -> None:
    shown = on_a_terminal(*ASK, *options, TEST_ANSWER=HOSTILE).decode()
    assert "owned" in shown
    assert not {"\x1b", "\x07", "\x9b", "\x7f", "\u202e"} & set(shown)
    if options:
        assert json.loads(shown)["answer"] == HOSTILE


def test_a_terminal_that_lacks_a_character_shows_a_question_mark(installed: Path) -> None:
    process = start(*ASK, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ends(process) == (ExitCode.OK, b"h?ppy ?\n", b"")
