"""Chats and batches through a local server: as without, but with a decoder that is loaded once."""

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device.ask_request import AskRequest
from duet_device.cli import main
from duet_device.deadline import Deadline
from duet_device.errors import CloudRefused, ExitCode, Interrupted, ModelProblem, UsageProblem
from duet_device.events import AnswerText, Result, Stored
from duet_device.history.store import History
from duet_device.serve.connect import connect, connect_all
from duet_device.serve.files import SOCKET_NAME, listening
from duet_device.serve.service import Service
from duet_device.serve.socket_server import SocketServer
from duet_device.turns import Turn
from tests.doubles.asking import happens
from tests.doubles.cloud import ScriptedCloud, abort, done, says, tokens
from tests.doubles.decoder import END, ScriptedDecoder

Captured = pytest.CaptureFixture[str]
Requests = Callable[..., AskRequest]
BECAUSE = says(tokens(*b"be"), tokens(*b"cause"), done(7))


@pytest.fixture
def chat(cloud: ScriptedCloud, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command with these lines on stdin."""

    def run(*lines: str, options: tuple[str, ...] = ()) -> int:
        data = "".join(line + "\n" for line in lines).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return main(["chat", "--quiet", *options])

    return run


def read(decoder: ScriptedDecoder) -> str:
    """What the decoder's window holds."""
    return bytes(token if token < END else ord("|") for token in decoder.ids).decode()


CHATS = {
    "turns": (("a?", "b?"), ()),
    "shared": (("a?", "b?", "/share 0", "c?", "/reset", "d?"), ("--share-history", "1")),
    "redacted": (("Dr. Anna Berg?", "Anna?"), ("--redact", "--share-history", "2")),
    "commands": (("a?", "/signal", "b?", "/stats"), ()),
    "too long": (("a?", "b" * 2000), ()),
    "alone": (("a?", "b?"), ("--device-only",)),
}


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_is_the_same(
    name: str,
    chat: Callable[..., int],
    service: Service,
    cloud: ScriptedCloud,
    decoder: ScriptedDecoder,
    loads: list[object],
    capsys: Captured,
) -> None:
    lines, options = CHATS[name]

    def run() -> tuple[object, ...]:
        cloud.requests.clear()
        code = chat(*lines, options=options)
        out, err = capsys.readouterr()
        out = "\n".join(line for line in out.splitlines() if " large-model tokens" not in line)
        sent = [request.question for request in cloud.requests]
        return code, out, err, sent, read(decoder).rstrip("|")

    without = run()
    loads.clear()
    decoder.ids.clear()
    with listening() as listener:
        SocketServer(listener, service)
        assert run() == without
        assert run() == without
    assert len(loads) == 1


def test_a_chat_is_stored_and_continued(
    history: History,
    served: Service,
    chat: Callable[..., int],
    decoder: ScriptedDecoder,
    capsys: Captured,
) -> None:
    assert chat("a?", "b?") == ExitCode.OK
    assert main(["ask", "alone?", "--quiet"]) == ExitCode.OK
    assert chat("c?", options=("--continue",)) == ExitCode.OK
    window = "Q:a? S:because A:häppy 🙂|Q:b? S:because A:häppy 🙂|Q:c? S:because A:"
    assert read(decoder).startswith(window)
    capsys.readouterr()
    assert main(["logs", "-n", "0", "--json"]) == ExitCode.OK
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    chats = [record["conversation"] for record in records]
    assert chats[0] == chats[1] == chats[3] is not None
    assert chats[2] is None


def test_a_chat_goes_on_without_its_server(
    served: Service,
    installed: Path,
    decoder: ScriptedDecoder,
    loads: list[object],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = iter([b"a?\n", b"b?\n", b""])

    def readline(_: int) -> bytes:
        line = next(lines)
        if line.startswith(b"b"):
            (installed / SOCKET_NAME).unlink()
        return line

    stdin = SimpleNamespace(buffer=SimpleNamespace(readline=readline), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["chat", "--quiet"]) == ExitCode.OK
    assert capsys.readouterr() == ("häppy 🙂\nhäppy 🙂\n", "")
    assert len(loads) == 2
    assert read(decoder).startswith("Q:a? S:because A:häppy 🙂|Q:b? S:because A:")


def test_a_turn_as_the_decoder_holds_it_crosses_the_socket(
    served: Service, request_to: Requests
) -> None:
    events = connect(request_to(chat="c1"), Deadline(60), print)
    assert events
    *_, stored = list(events)
    assert isinstance(stored, Stored)
    assert stored.turn == Turn("why?", tuple(b"because"), tuple("häppy 🙂".encode()))
    events = connect(request_to(), Deadline(60), print)
    assert events
    *_, stored = list(events)
    assert isinstance(stored, Stored)
    assert stored.turn is None


def write(path: Path, *questions: str) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in questions))
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows, without what differs between two runs."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{**row, "ms": None, "request_id": None} for row in found]


BATCHES = {
    "answers": (["a?", "b?", "c?"], []),
    "redacted": (["ask Anna Berg", "Anna?"], ["--redact"]),
    "a failure": (["a?", "", "c?"], []),
    "refused": (["a?", "wrong", "c?"], ["--require-cloud"]),
    "no cloud": (["a?", "b?"], ["--server", "127.0.0.1:9"]),
    "settings": (["a?"], ["--budget", "999"]),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_is_the_same(
    name: str,
    service: Service,
    cloud: ScriptedCloud,
    loads: list[object],
    tmp_path: Path,
    capsys: Captured,
) -> None:
    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if request.question == "wrong":
            abort(context, grpc.StatusCode.PERMISSION_DENIED, "not you")
        yield from BECAUSE(request, context)

    cloud.script = script
    questions, options = BATCHES[name]
    file = write(tmp_path / "q", *questions)

    def run(out: Path) -> tuple[object, ...]:
        code = main(["ask", "--in", str(file), "--out", str(out), *options])
        return code, rows(out), capsys.readouterr().err

    without = run(tmp_path / "a")
    loads.clear()
    with listening() as listener:
        SocketServer(listener, service)
        assert run(tmp_path / "b") == without
        assert run(tmp_path / "c") == without
    assert len(loads) <= 1


@pytest.fixture
def slow(cloud: ScriptedCloud) -> Iterator[threading.Event]:
    """Questions that begin with "slow" wait for this event."""
    release = threading.Event()

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        while request.question.startswith("slow") and context.is_active():
            if release.wait(0.01):
                break
        yield from BECAUSE(request, context)

    cloud.script = script
    yield release
    release.set()


def test_a_question_does_not_wait_for_a_batch(
    served: Service,
    cloud: ScriptedCloud,
    slow: threading.Event,
    request_to: Requests,
    loads: list[object],
) -> None:
    batch = connect_all(request_to(), ["slow", "why?"], 2, Deadline(60), print)
    assert batch
    assert cloud.asked.wait(60)
    events = connect(request_to(), Deadline(60), print)
    assert events
    assert any(isinstance(event, Result) for event in events)
    slow.set()
    answered = [number for number, event in batch if isinstance(event, Result)]
    assert answered == [0, 1]
    assert len(loads) == 2


def test_the_end_of_the_command_stops_a_batch(
    history: History, served: Service, slow: threading.Event, request_to: Requests
) -> None:
    """What was delivered is stored, what was not is not."""
    batch = connect_all(request_to(), ["a?", "b?", "slow"], 1, Deadline(60), print)
    assert batch
    with closing(batch):
        for number, event in batch:
            if number == 1 and isinstance(event, Result):
                break
    assert happens(lambda: served.idle_s > 0)
    assert len(history.ids()) == 1


def test_a_batch_ends_with_its_server(
    served: Service, slow: threading.Event, request_to: Requests
) -> None:
    batch = connect_all(request_to(), ["a?", "slow"], 1, Deadline(60), print)
    assert batch
    assert next(number for number, event in batch if isinstance(event, Stored)) == 0
    served.stop()
    with pytest.raises(Interrupted):
        list(batch)


def test_errors_of_a_batch_keep_their_kind(
    served: Service, cloud: ScriptedCloud, request_to: Requests
) -> None:
    cloud.script = lambda _, context: abort(  # type: ignore[assignment, return-value]
        context, grpc.StatusCode.PERMISSION_DENIED, "not you"
    )
    strict = request_to(settings={"require_cloud": True})
    batch = connect_all(strict, ["", "why?"], 2, Deadline(60), print)
    assert batch
    errors = {number: type(each) for number, each in batch if isinstance(each, Exception)}
    assert errors == {0: UsageProblem, 1: CloudRefused}
    # Of all questions: there is no such pair, and the command does what it does without a server.
    assert connect_all(strict._replace(pair="no"), ["why?"], 1, Deadline(60), print) is None


def test_a_batch_is_no_answer_where_the_server_breaks_off(
    served: Service, request_to: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[object]:
        yield 0, AnswerText("h")
        raise RuntimeError("a bug")

    monkeypatch.setattr("duet_device.asking.Asking.all", broken)
    batch = connect_all(request_to(), ["why?"], 1, Deadline(60), print)
    assert batch
    assert next(batch) == (0, AnswerText("h"))
    with pytest.raises(ModelProblem, match="ask again"):
        next(batch)
