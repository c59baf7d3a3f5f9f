"""How a command ends, and what its streams promise. Streams are a process's: each case is one."""

import os
import signal
import subprocess
import sys
import time

import pytest

from duet_contract import console
from duet_contract.console import OutputClosed, OutputLost, run

START = "import sys; from duet_contract.console import run; sys.exit(run('prog', lambda: "
WRITES = START + "print('answer') or print('note', file=sys.stderr) or 0))"
READS = START + "print(sys.stdin.buffer.read(1000)) or 0))"


def start(program: str, redirection: str = "", **options: object) -> subprocess.Popen[bytes]:
    command = ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, program]
    return subprocess.Popen(command, stdout=-1, stderr=-1, **options)  # type: ignore[call-overload, no-any-return]


def ends(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("redirection", "code", "out", "err"),
    [
        (">&-", 1, b"", b"note\nprog: cannot write to stdout: Bad file descriptor\n"),
        (">/dev/full", 1, b"", b"note\nprog: cannot write to stdout: No space left on device\n"),
        ("2>&-", 0, b"answer\n", b""),
        ("2>/dev/full", 0, b"answer\n", b""),
        ("<&- >&- 2>&-", 1, b"", b""),
    ],
)
def test_an_answer_is_written_or_its_loss_is_told(
    redirection: str, code: int, out: bytes, err: bytes
) -> None:
    assert ends(start(WRITES, redirection)) == (code, out, err)


def test_no_one_reads() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run([sys.executable, "-c", WRITES], stdout=writer, stderr=-1, timeout=60)
    os.close(writer)
    assert (process.returncode, process.stderr) == (141, b"note\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_pipe_is_waited_for(unbuffered: str) -> None:
    """The reader made it non-blocking, and comes later."""
    size = 1 << 20
    program = START + f"print('x' * {size}) or 0))"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=writer, env=environment)
    os.close(writer)
    time.sleep(0.2)
    with os.fdopen(reader, "rb") as stream:
        assert stream.read() == b"x" * size + b"\n"
    assert process.wait(60) == 0


def test_an_empty_pipe_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    process = subprocess.Popen([sys.executable, "-c", READS], stdin=reader, stdout=-1)
    os.close(reader)
    for part in (b"why ", b"so?"):
        time.sleep(0.2)
        os.write(writer, part)
    os.close(writer)
    assert ends(process) == (0, b"b'why so?'\n", None)


@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null"])
def test_stdin_that_cannot_be_read_is_an_os_error(redirection: str) -> None:
    program = READS.replace("sys.stdin.buffer.read(1000)", "read()")
    program = (
        "def read():\n try: return sys.stdin.buffer.read(9)\n except OSError as e: return e.errno\n"
    ) + program
    assert ends(start(program, redirection))[:2] == (0, b"9\n")


def fails(error: BaseException) -> int:
    def command() -> int:
        raise error

    return run("prog", command, install="pip install toy")


def interrupted(error: Exception) -> Exception:
    """What a library's cleanup raises when Ctrl-C arrives in the middle of it."""
    error.__context__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OutputClosed("gone"), 141, ""),
        (OutputLost("cannot write"), 1, "prog: cannot write\n"),
        (KeyboardInterrupt(), 130, "prog: interrupted\n"),
        (interrupted(RuntimeError("release unlocked lock")), 130, "prog: interrupted\n"),
        (interrupted(ModuleNotFoundError("no", name="toy")), 130, "prog: interrupted\n"),
        (
            ModuleNotFoundError("no", name="toy"),
            1,
            "prog: Python package toy is not installed; install it with: pip install toy\n",
        ),
        (
            ValueError("a\n\x1b[2J"),
            70,
            "prog: internal error: ValueError: a \\x1b[2J (DUET_TRACEBACK=1 prints where)\n",
        ),
        (KeyError(), 70, "prog: internal error: KeyError (DUET_TRACEBACK=1 prints where)\n"),
    ],
)
def test_every_error_is_one_line(
    error: BaseException,
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(console.TRACEBACK, raising=False)
    assert fails(error) == code
    assert capsys.readouterr() == ("", said)


def test_the_traceback_is_there_on_wish(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(console.TRACEBACK, "1")
    assert fails(ValueError("x")) == 70
    assert "Traceback" in capsys.readouterr().err


def test_streams_of_a_test_stay(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdin, sys.stdout, sys.stderr
    assert run("prog", lambda: print("seen") or 5) == 5  # type: ignore[func-returns-value]
    assert (sys.stdin, sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "seen\n"


@pytest.mark.parametrize(
    "where", ["atexit.register(ends_late)", "threading.Thread(target=ends_late).start()"]
)
def test_ctrl_c_once_a_command_has_ended_shows_no_traceback(where: str) -> None:
    """Python joins threads and calls what was registered after the last line of the program."""
    program = (
        "import atexit, sys, threading, time\n"
        "from duet_contract.console import run\n"
        "main = threading.main_thread().ident\n"
        "def ends_late():\n"
        "    while sys._current_frames()[main].f_code.co_name not in ('ends_late', '_shutdown'):\n"
        "        time.sleep(0.01)\n"
        "    print('ends', flush=True)\n"
        "    time.sleep(60)\n"
        f"{where}\n"
        "sys.exit(run('prog', lambda: 0, ends_process=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=-1, stderr=-1) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ends\n"
        process.send_signal(signal.SIGINT)
        # What shells report as 130.
        assert (process.wait(60), process.stderr and process.stderr.read()) == (-2, b"")
