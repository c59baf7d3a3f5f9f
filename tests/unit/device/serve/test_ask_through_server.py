"""`duet-device ask` through a local server: as without, but with a decoder that is loaded once."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from duet_contract.receipt import Receipt
from duet_device.ask_request import AskRequest
from duet_device.cli import main
from duet_device.deadline import Deadline
from duet_device.errors import DeadlineExceeded, ExitCode, ModelProblem
from duet_device.events import Result, Sent, SignalText, Stored
from duet_device.history.store import History
from duet_device.serve import messages, socket_server
from duet_device.serve.connect import connect, connect_all
from duet_device.serve.files import SOCKET_NAME, listening
from duet_device.serve.service import Service
from tests.doubles.asking import happens
from tests.doubles.cloud import ScriptedCloud, abort, says, tokens

Captured = pytest.CaptureFixture[str]
Requests = Callable[..., AskRequest]


def asked(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    """Exit code, stdout and stderr, without what differs between two runs."""
    code = main(["ask", *arguments])
    out, err = capsys.readouterr()
    if out.startswith("{") and "receipt" not in out and '"ms"' in out:
        receipt = json.loads(out)
        receipt |= {"ms": None, "request_id": None}
        out = json.dumps(receipt)
    err = re.sub(r"\d+\.\d s|[0-9a-f]{32}", "T", err)
    return code, out, err


CASES = {
    "answer": ["why?"],
    "json": ["why?", "--json", "--quiet"],
    "signal": ["why?", "--show-signal", "-v"],
    "sent": ["why?", "--show-sent"],
    "alone": ["why?", "--device-only", "--show-sent", "--show-work"],
    "words": ["ask Ann why", "--redact-words", "{words}", "--show-sent"],
    "context": ["why?", "--context", "{words}"],
    "budget": ["why?", "--budget", "999"],
    "too long": ["why" * 999],
    "no pair": ["why?", "--pair", "nothing"],
    "no cloud": ["why?", "--server", "127.0.0.1:9"],
    "required": ["why?", "--server", "127.0.0.1:9", "--require-cloud", "--json"],
    "unsigned": ["why?", "--allow-unsigned"],
    "directory": ["why?", "--pair", "pairs/bytes"],
}


@pytest.mark.parametrize("case", CASES)
def test_output_and_exit_code_are_the_same(
    case: str,
    service: Service,
    tmp_path: Path,
    loads: list[object],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "words").write_text("Ann = NAME\n")
    monkeypatch.chdir(tmp_path)
    arguments = [each.format(words=tmp_path / "words") for each in CASES[case]]
    without = asked(arguments, capsys)
    loads.clear()
    with listening() as listener:
        socket_server.SocketServer(listener, service)
        assert asked(arguments, capsys) == without
        assert asked(arguments, capsys) == without
    assert len(loads) <= 1


# What a question to a local server needs nothing of; each takes a millisecond or more to import.
SLOW = {
    "asyncio", "click.shell_completion", "dataclasses", "duet_device.settings", "duet_device.turns",
    "glob", "google.protobuf", "grpc", "importlib.metadata", "llama_cpp", "logging", "numpy",
    "platformdirs", "pydantic", "random", "shutil", "subprocess", "tempfile", "tomllib",
}  # fmt: skip


@pytest.mark.usefixtures("served")
def test_a_question_to_the_server_imports_nothing_slow() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from duet_device.serve import connect; connect._ACCEPT_S = 60\n"
        "from duet_device.cli import main; code = main(['ask', 'why?'])\n"
        f"print(code, *sorted({SLOW!r} & set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"


def test_a_refusal_keeps_its_exit_code(
    served: Service, cloud: ScriptedCloud, capsys: Captured
) -> None:
    cloud.script = lambda _, context: abort(  # type: ignore[assignment, return-value]
        context, grpc.StatusCode.PERMISSION_DENIED, "not you"
    )
    assert main(["ask", "why?"]) == ExitCode.REFUSED
    assert capsys.readouterr().err.count("\n") == 1


def test_times_count_from_the_commands_start(
    served: Service, monkeypatch: pytest.MonkeyPatch, request_to: Requests
) -> None:
    deadline = Deadline(60)
    deadline.started -= 5
    events = connect(request_to(), deadline, print)
    assert events
    receipt = next(event.receipt for event in events if isinstance(event, Result))
    assert 5000 < receipt.ms.total < 60_000
    events.close()


@pytest.fixture
def waiting(cloud: ScriptedCloud) -> ScriptedCloud:
    """The cloud sends a part of the signal, and then waits for the call's end."""
    over = threading.Event()

    def script(_: object, context: grpc.ServicerContext):  # type: ignore[no-untyped-def]
        context.add_callback(over.set)
        yield tokens(*b"be")
        over.wait(60)

    cloud.script = script
    return cloud


def test_the_end_of_the_command_stops_the_question(
    served: Service, waiting: ScriptedCloud, request_to: Requests
) -> None:
    events = connect(request_to(), Deadline(60), print)
    assert events
    while not isinstance(next(events), SignalText):
        pass
    events.close()
    assert waiting.ended.wait(60)
    waiting.script = says()
    assert happens(lambda: served.idle_s > 0)


def test_a_deadline_passes_in_the_server(
    served: Service, cloud: ScriptedCloud, capsys: Captured
) -> None:
    over = threading.Event()

    def script(_: object, context: grpc.ServicerContext):  # type: ignore[no-untyped-def]
        context.add_callback(over.set)
        over.wait(60)
        yield from ()

    cloud.script = script
    code = main(["ask", "why?", "--timeout", "0.5", "--require-cloud"])
    assert code == ExitCode.DEADLINE
    assert "--timeout" in capsys.readouterr().err


def test_the_server_stores_and_reuses(
    history: History, served: Service, cloud: ScriptedCloud, capsys: Captured
) -> None:
    assert main(["ask", "why?"]) == ExitCode.OK
    (id_,) = history.ids()
    assert capsys.readouterr().err.endswith(f", stored as {id_}\n")
    assert main(["ask", "why?", "--reuse", "--no-log", "--json", "--quiet"]) == ExitCode.OK
    assert Receipt.model_validate_json(capsys.readouterr().out).source == "history"
    assert len(cloud.requests) == 1
    assert history.ids() == [id_]


def test_an_answer_that_was_not_delivered_is_not_stored(
    history: History, served: Service, request_to: Requests
) -> None:
    events = connect(request_to(), Deadline(60), print)
    assert events
    with closing(events):
        for event in events:
            if isinstance(event, Result):
                break
    assert happens(lambda: served.idle_s > 0)
    assert history.ids() == []


def test_a_command_that_is_suspended_does_not_hold_the_server(
    history: History,
    served: Service,
    request_to: Requests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket_server, "_PATIENCE_S", 2.0)
    suspended = connect(request_to(), Deadline(60), print)
    assert suspended
    with closing(suspended):
        assert any(isinstance(event, Result) for event in suspended)
        # Only now: of two that wait, either may be answered first.
        other = connect(request_to(), Deadline(60), print)
        assert other
        assert isinstance(list(other)[-1], Stored)
        with pytest.raises(DeadlineExceeded, match="not taken within"):
            list(suspended)
    assert len(history.ids()) == 1


@pytest.mark.parametrize("many", [False, True])
def test_a_server_that_stops_right_after_a_result_is_reported_in_one_line(
    many: bool, installed: Path, request_to: Requests
) -> None:
    result = {"result": '{"answer": "9"}', **({"number": 0} if many else {})}
    with listening() as listener:

        def stop_after_result() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(messages.encode({"accept": True}) + messages.encode(result))

        server = threading.Thread(target=stop_after_result)
        server.start()
        events: Iterator[object] | None
        if many:
            events = connect_all(request_to(), ["why?"], 1, Deadline(60), print)
        else:
            events = connect(request_to(), Deadline(60), print)
        server.join()
    assert events
    next(events)
    with pytest.raises(ModelProblem, match="the local server stopped"):
        next(events)


def test_without_its_passphrase_the_server_declines(
    history: History,
    served: Service,
    loads: list[object],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("duet_device.serve.service.passphrase_wanted", lambda: True)
    assert main(["ask", "why?"]) == ExitCode.OK
    assert len(history.ids()) == 1


@pytest.mark.parametrize(
    "variable", ["DUET_PAIRS", "https_proxy", "HTTPS_PROXY", "GRPC_VERBOSITY", "HOME"]
)
def test_a_server_of_another_environment_is_not_used(
    variable: str, served: Service, request_to: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = messages.environment()
    monkeypatch.setattr(socket_server, "environment", lambda: now)
    assert connect(request_to(), Deadline(9), print) is not None
    monkeypatch.setenv(variable, "other")
    assert connect(request_to(), Deadline(9), print) is None


def test_a_server_of_older_code_is_not_used(
    served: Service, request_to: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_server, "code", lambda: [0, 0])
    assert connect(request_to(), Deadline(9), print) is None


def test_a_pair_that_changed_is_opened_again(
    served: Service, installed: Path, loads: list[object], capsys: Captured
) -> None:
    manifest = installed.parent / "pairs" / "bytes" / "manifest.json"
    for version in ("1.0.0", "1.0.1"):
        data = {**json.loads(manifest.read_text()), "version": version}
        manifest.write_text(json.dumps(data))
        for _ in range(2):
            assert main(["ask", "why?", "--json", "--quiet"]) == ExitCode.OK
            receipt = Receipt.model_validate_json(capsys.readouterr().out)
            assert receipt.pair == f"bytes@{version}"
    assert len(loads) == 2


def test_a_socket_that_a_killed_server_left_is_passed_over_and_replaced(
    cloud: ScriptedCloud, installed: Path, request_to: Requests, capsys: Captured
) -> None:
    installed.mkdir(mode=0o700)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(installed / SOCKET_NAME))
    left.close()
    assert main(["ask", "why?", "--quiet"]) == ExitCode.OK
    assert capsys.readouterr().err == ""
    with listening() as listener:
        assert listener.getsockname() == str(installed / SOCKET_NAME)
    assert not (installed / SOCKET_NAME).exists()


def test_a_socket_that_others_could_have_put_there_is_one_line(
    served: Service, installed: Path, loads: list[object], capsys: Captured
) -> None:
    installed.chmod(0o777)
    assert main(["ask", "why?", "--quiet"]) == ExitCode.OK
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"chmod go-w {installed}" in err


@pytest.mark.parametrize("says_more", [b"", b'{"signal": "be"}\n', b"not JSON\n"])
def test_a_server_that_ends_within_an_answer_is_one_line(
    says_more: bytes, cloud: ScriptedCloud, installed: Path, capsys: Captured
) -> None:
    installed.mkdir(mode=0o700)
    with listening() as listener:

        def end() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b'{"accept": true}\n' + says_more)

        threading.Thread(target=end).start()
        assert main(["ask", "why?"]) == ExitCode.MODEL
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "ask again" in err


def test_what_is_not_a_request_is_declined(served: Service, installed: Path) -> None:
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b"{}\n", b"[" * 200_000 + b"\n", b""):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(installed / SOCKET_NAME))
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(60)
            assert connection.recv(1) == b""


def test_events_arrive_in_the_order_of_a_client(served: Service, request_to: Requests) -> None:
    events = connect(request_to(), Deadline(60), print)
    assert events
    sent, signal_text, *_, result, stored = list(events)
    assert isinstance(sent, Sent)
    assert sent.request.question == "why?"
    assert isinstance(signal_text, SignalText)
    assert isinstance(result, Result)
    assert isinstance(stored, Stored)
