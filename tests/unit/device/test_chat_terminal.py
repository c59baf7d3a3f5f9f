"""`duet-device chat` and batches in a pseudo-terminal: lines, Ctrl-C, widths, styles."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device.errors import ExitCode
from tests.doubles.cloud import ScriptedCloud, done, tokens
from tests.doubles.tcp import serving
from tests.doubles.terminal import CTRL_C, CTRL_D, Terminal

pytestmark = pytest.mark.slow

UP, HOME = "\x1b[A", "\x01"


def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    """Waits with the signal of `slow?`, for good."""
    yield tokens(*b"be")
    while request.question == "slow?" and context.is_active():
        time.sleep(0.01)
    yield tokens(*b"cause")
    yield done(7)


@pytest.fixture
def cloud(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCloud]:
    with ScriptedCloud(script) as cloud:
        monkeypatch.setenv("DUET_SERVER", cloud.address)
        yield cloud


def asked(cloud: ScriptedCloud) -> list[str]:
    return [request.question for request in cloud.requests]


def wait_for(cloud: ScriptedCloud, question: str) -> None:
    end = time.monotonic() + 60
    while question not in asked(cloud):
        assert time.monotonic() < end
        time.sleep(0.01)


def end_of_input(terminal: Terminal) -> None:
    """Types Ctrl-D once the program reads a line: before, the terminal would drop it."""
    end = time.monotonic() + 60
    while not terminal.shown.endswith("> "):
        assert time.monotonic() < end, terminal.output
        terminal.read()
    terminal.type(CTRL_D)


def interrupt(terminal: Terminal, text: str) -> None:
    """Types Ctrl-C until the terminal shows a text, as people do: Python's line editor may miss it.

    It looks for signals only when its wait for a key ends, and one may come just before.
    """
    for _ in range(10):
        terminal.type(CTRL_C)
        end = time.monotonic() + 6
        while time.monotonic() < end:
            if text in terminal.shown:
                return
            terminal.read()
    terminal.expect(text)


def test_a_chat_at_a_terminal(cloud: ScriptedCloud) -> None:
    with Terminal("chat") as terminal:
        terminal.expect("bytes@1.0.0: /help lists commands, Ctrl-D ends\n> ")
        terminal.type("who?\r")
        terminal.expect("häppy 🙂\n7 large-model tokens, ")
        # The line before is recalled and edited.
        terminal.type(f"{UP}{HOME}and \r")
        wait_for(cloud, "and who?")
        terminal.type("/si\t\r")
        terminal.expect("because\n")
        end_of_input(terminal)
        assert terminal.end() == ExitCode.OK
    assert asked(cloud) == ["who?", "and who?"]


def test_ctrl_c_stops_what_runs_and_nothing_else(cloud: ScriptedCloud) -> None:
    with Terminal("chat", "--show-signal") as terminal:
        terminal.expect("> ")
        terminal.type("not this")
        terminal.expect("not this")
        interrupt(terminal, "Ctrl-D or /exit ends the chat\n> ")
        terminal.type("slow?\r")
        terminal.expect("be")
        interrupt(terminal, "interrupted: the chat continues without this turn")
        terminal.type("why?\r")
        terminal.expect("häppy")
        terminal.type("/stats\r")
        terminal.expect("1 answer, 7 large-model tokens")
        terminal.type("/exit\r")
        assert terminal.end() == ExitCode.OK
    assert asked(cloud) == ["slow?", "why?"]


@pytest.mark.parametrize(
    ("columns", "environment"),
    [(20, {}), (200, {}), (80, {"NO_COLOR": "1"}), (80, {"TERM": "dumb"}), (80, {"LANG": "C"})],
)
def test_any_terminal(cloud: ScriptedCloud, columns: int, environment: dict[str, str]) -> None:
    with Terminal("chat", "--show-signal", environment=environment, columns=columns) as terminal:
        terminal.expect("> ")
        terminal.type("why?\r")
        terminal.expect("because")
        terminal.expect("large-model tokens")
        terminal.resize(40)
        terminal.type("/stats\r")
        terminal.expect("1 answer")
        end_of_input(terminal)
        assert terminal.end() == ExitCode.OK
        styled = "\x1b[2m" in terminal.output
        assert styled == (not environment or "LANG" in environment)


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_a_batch_at_a_terminal(how: str, cloud: ScriptedCloud, tmp_path: Path) -> None:
    questions = tmp_path / "q"
    questions.write_text('"a?"\n"b?"\n"slow?"\n')
    arguments = ("ask", "--in", str(questions), "--out", str(tmp_path / "a"))
    with Terminal(*arguments) as terminal:
        terminal.expect("answers")
        wait_for(cloud, "slow?")
        terminal.expect("66%")
        terminal.type(CTRL_C) if how == "Ctrl-C" else terminal.terminate()
        assert terminal.end() == ExitCode.INTERRUPTED
        assert "\x1b[?25l" in terminal.output
        assert terminal.is_as_before()
    rows = [json.loads(line)["question"] for line in (tmp_path / "a").read_text().splitlines()]
    assert rows == ["a?", "b?"]


def test_a_passphrase_of_another_encoding_is_one_line(installed: Path) -> None:
    with Terminal("logs", "on", environment={"LC_ALL": "C.UTF-8"}) as terminal:
        terminal.expect("New passphrase of the vault: ")
        terminal.type("\xfd\xe4\r", "latin-1")
        assert terminal.end() == ExitCode.VAULT
        assert terminal.shown.endswith("duet-device: the passphrase is not UTF-8\n")


def test_ctrl_c_ends_a_server_that_still_connects(installed: Path) -> None:
    there = threading.Event()

    def silent(connection: socket.socket) -> None:
        there.set()
        connection.recv(1 << 20)

    with (
        serving(silent) as address,
        Terminal("serve", "--server", address, "--connect-timeout", "300") as terminal,
    ):
        assert there.wait(60)
        terminal.type(CTRL_C)
        assert terminal.end() == ExitCode.INTERRUPTED
        assert "Traceback" not in terminal.shown
    assert not (installed / "serve.sock").exists()


@pytest.mark.parametrize(
    ("arguments", "shown", "typed", "then"),
    [
        (("chat",), "> ", "not", "not"),
        (("chat", "--show-signal"), "> ", "slow?\r", "be"),
        (("logs", "on"), "New passphrase of the vault: ", "", ""),
    ],
)
def test_sigterm_leaves_the_terminal_as_it_was(
    arguments: tuple[str, ...], shown: str, typed: str, then: str, cloud: ScriptedCloud
) -> None:
    with Terminal(*arguments) as terminal:
        terminal.expect(shown)
        terminal.type(typed)
        terminal.expect(then)
        assert arguments[-1] == "--show-signal" or not terminal.is_as_before()
        # Python's line editor may miss one, as it may miss Ctrl-C. One that comes while Python ends
        # would kill it.
        for _ in range(3):
            time.sleep(0.3)
            terminal.terminate()
            if (code := terminal.ended(20)) is not None:
                break
        assert code == ExitCode.INTERRUPTED
        assert terminal.is_as_before()
        assert terminal.shown.endswith("duet-device: interrupted\n")
