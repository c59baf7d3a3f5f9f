"""`duet-device`: arguments, exit codes, and what goes to which stream."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.integrity import sha256_of
from duet_contract.keys import public_bytes
from duet_contract.receipt import Receipt
from duet_contract.signature import sign_pair
from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device import known_servers, session
from duet_device.cli import main
from duet_device.errors import ExitCode, Interrupted, ModelProblem
from duet_device.pairs.pair import Pair
from duet_device.trust.publishers import BY_HAND, pin
from tests.doubles.asking import default_cloud
from tests.doubles.cloud import ScriptedCloud, abort, tokens
from tests.doubles.decoder import ScriptedDecoder
from tests.doubles.tcp import NOWHERE


@pytest.fixture
def home(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the pair `bytes`, the default one, whose decoder file is not a GGUF."""
    directory = pair.directory / "bytes"
    directory.mkdir()
    (directory / "decoder.gguf").write_bytes(b"abc")
    data = json.loads(pair.manifest.to_json())
    data["decoder"]["files"][0]["sha256"] = sha256_of(directory / "decoder.gguf")
    (directory / "manifest.json").write_text(json.dumps(data))
    for name in [name for name in os.environ if name.startswith("DUET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DUET_HOME", str(pair.directory / "home"))
    key = Ed25519PrivateKey.generate()
    sign_pair(directory, key)
    pin(BY_HAND, (public_bytes(key),))
    monkeypatch.setenv("DUET_PAIRS", str(pair.directory))
    monkeypatch.setenv("DUET_PAIR", "bytes")
    return directory


@pytest.fixture
def cloud(
    home: Path, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedCloud]:
    """A cloud that is the default server, and a decoder in place of the model."""
    with default_cloud(decoder, monkeypatch) as cloud:
        yield cloud


Captured = pytest.CaptureFixture[str]


def change_manifest(home: Path, **changes: Any) -> None:
    path = home / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_answer_on_stdout_receipt_on_stderr(cloud: ScriptedCloud, capsys: Captured) -> None:
    assert main(["ask", "why?"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == "häppy 🙂\n"
    assert err.startswith("7 large-model tokens, ")
    assert len(err) < 80
    assert err.count("\n") == 1
    assert main(["ask", "why?", "-v"]) == ExitCode.OK
    details = f"\nduet · 7 signal tokens · from {cloud.address} · 11 answer tokens · "
    assert details in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [False, True])
def test_the_answer_streams_unless_it_is_json(
    as_json: bool, cloud: ScriptedCloud, decoder: ScriptedDecoder, capsys: Captured
) -> None:
    follows = decoder.most_likely
    shown: list[str] = []

    def look() -> int:
        shown.append(capsys.readouterr().out)
        return follows()

    decoder.most_likely = look  # type: ignore[method-assign]
    assert (
        main(["ask", "why?", "--quiet", "--no-prompt-lookup", *["--json"] * as_json]) == ExitCode.OK
    )
    rest = capsys.readouterr().out
    if as_json:
        assert "".join(shown) == ""
        assert Receipt.model_validate_json(rest).answer == "häppy 🙂"
    else:
        # The last three bytes of the face are not a character yet.
        assert [part for part in shown if part] == list("häppy 🙂")
        assert rest == "\n"


def test_time_counts_from_the_question_not_from_the_import(
    cloud: ScriptedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duet_device.cli._PROCESS_STARTED", time.perf_counter() - 3600)
    assert main(["ask", "why?"]) == ExitCode.OK


@pytest.mark.parametrize("question", ["", "why?"])
def test_json_of_an_error(question: str, cloud: ScriptedCloud, capsys: Captured) -> None:
    code = ExitCode.UNREACHABLE if question else ExitCode.USAGE
    options = ["--json", "--require-cloud", "--server", NOWHERE]
    assert main(["ask", question, *options]) == code
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert error["exit_code"] == code
    assert error["type"] == ("CloudUnreachable" if question else "UsageProblem")
    assert error["message"]
    assert err == ""


def test_signal_is_shown_on_wish(cloud: ScriptedCloud, capsys: Captured) -> None:
    assert main(["ask", "--show-signal", "--quiet", "why?"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == "häppy 🙂\n"
    assert err == "because\n\n"


def test_servers_of_the_environment(
    cloud: ScriptedCloud, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUET_SERVER", f"{NOWHERE},{cloud.address}")
    assert main(["ask", "--json", "why?"]) == ExitCode.OK
    out, err = capsys.readouterr()
    receipt = json.loads(out)
    assert (receipt["outcome"], receipt["server"]) == ("complete", cloud.address)
    assert receipt["resumed"] == 0
    assert err.startswith(f"duet-device: no cloud at {NOWHERE}: ")
    assert f"; asking {cloud.address}\n" in err


def test_an_error_in_the_middle_of_a_signal_has_a_line_of_its_own(
    cloud: ScriptedCloud, capsys: Captured
) -> None:
    def revoked(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        yield tokens(*b"beca")
        abort(context, grpc.StatusCode.UNAUTHENTICATED, "revoked")

    cloud.script = revoked
    assert main(["ask", "--show-signal", "--require-cloud", "why?"]) == ExitCode.REFUSED
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "beca\n\nduet-device: the cloud does not know this device: revoked\n"
    assert main(["ask", "--show-signal", "why?"]) == ExitCode.OK
    _, err = capsys.readouterr()
    said = "the cloud does not know this device: revoked; answering from the signal so far"
    assert err.startswith(f"beca\n\nduet-device: {said}\n")
    assert "low confidence: the signal is incomplete; check it" in err


def test_the_certificate_is_renewed_behind_an_answer_of_the_cloud(
    cloud: ScriptedCloud, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[str] = []

    def renew_if_due(server: str, note: Callable[[str], None]) -> bool:
        assert capsys.readouterr().out == "häppy 🙂\n"
        note("it ends soon")
        renewed.append(server)
        return True

    monkeypatch.setattr(known_servers, "renew_if_due", renew_if_due)
    assert main(["ask", "why?", "--quiet"]) == ExitCode.OK
    assert renewed == [cloud.address]
    assert capsys.readouterr().err == "duet-device: it ends soon\n"
    assert main(["ask", "why?", "--device-only"]) == ExitCode.OK
    assert renewed == [cloud.address]


def test_options_reach_the_cloud(cloud: ScriptedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    address = cloud.address
    monkeypatch.setenv("DUET_SERVER", "127.0.0.1:9")
    monkeypatch.setenv("DUET_PAIR", "none")
    options = ["--server", address, "--pair", "bytes", "--require-cloud", "--budget", "9"]
    assert main(["ask", "why?", *options, "--temperature", "0", "--seed", "7"]) == ExitCode.OK
    sent = cloud.requests[0]
    assert (sent.pair, sent.budget, sent.temperature, sent.seed) == ("bytes@1.0.0", 9, 0, 7)
    assert sent.HasField("temperature")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("arguments", [["ask"], ["ask", "-"]])
def test_question_from_stdin(
    arguments: list[str],
    encoding: str,
    cloud: ScriptedCloud,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "question").write_bytes("why é?\r\n".encode(encoding))
    with (tmp_path / "question").open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(arguments) == ExitCode.OK
    assert cloud.requests[0].question == "why é?"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"\xef\xbb\xbf\r\n", "empty"),
        (b"\xff\xfe", "empty"),
        (b"caf\xe9", "not UTF-8 (byte 3)"),
        (b"\xff\xfea", "not UTF-16"),
        (b"x" * 1_000_000, "at most 1024"),
        (b"a\0b", "NUL"),
    ],
)
def test_bad_question_on_stdin(
    data: bytes,
    said: str,
    cloud: ScriptedCloud,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    (tmp_path / "question").write_bytes(data)
    with (tmp_path / "question").open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["ask"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.startswith("duet-device: ")
    assert cloud.requests == []


def test_an_argument_that_is_not_utf8(cloud: ScriptedCloud, capsys: Captured) -> None:
    assert main(["ask", os.fsdecode(b"caf\xe9?")]) == ExitCode.USAGE
    assert "not valid Unicode" in capsys.readouterr().err
    assert cloud.requests == []


@pytest.mark.parametrize(
    "options",
    [
        ["--budget", "0"],
        ["--budget", "33"],
        ["--budget", "9" * 5000],
        ["--seed", "-1"],
        ["--seed", "4294967295"],
        ["--timeout", "nan"],
        ["--temperature", "3"],
        ["--temperature", "1e-45"],
        ["--threads", "0"],
        ["--device-only", "--require-cloud"],
        ["--no-such-option"],
    ],
)
def test_bad_options(options: list[str], cloud: ScriptedCloud, capsys: Captured) -> None:
    assert main(["ask", "why?", *options]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert cloud.requests == []


def test_a_word_that_looks_like_an_option(cloud: ScriptedCloud, capsys: Captured) -> None:
    assert main(["ask", "What", "is", "-5", "plus", "3?"]) == ExitCode.USAGE
    assert "'-5': a question with such a word needs quotes; see: " in capsys.readouterr().err
    assert main(["ask", "What is -5 plus 3?"]) == ExitCode.OK


def test_unknown_pair(home: Path, capsys: Captured) -> None:
    assert main(["ask", "why?", "--pair", "nosuch"]) == ExitCode.UNREACHABLE
    assert "there are: bytes" in capsys.readouterr().err


def test_newer_manifest(home: Path, capsys: Captured) -> None:
    change_manifest(home, schema=99)
    assert main(["ask", "why?"]) == ExitCode.MODEL
    assert "upgrade duet-contract" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        (b"ab", "has 2 bytes"),
        (b"abd", "was altered"),
        (b"abc", "not a well-formed GGUF"),
    ],
)
def test_damaged_decoder_file(
    content: bytes | None, said: str, home: Path, capsys: Captured
) -> None:
    file = home / "decoder.gguf"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert main(["ask", "why?", "--device-only"]) == ExitCode.MODEL
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_no_cloud_is_said_in_one_line(cloud: ScriptedCloud, capsys: Captured) -> None:
    assert main(["ask", "why?", "--quiet", "--server", NOWHERE]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == "häppy 🙂\n"
    assert err.endswith("the device answers alone\n")
    assert err.count("\n") == 1


def test_deadline_already_passed(cloud: ScriptedCloud, capsys: Captured) -> None:
    assert main(["ask", "why?", "--timeout", "1e-9"]) == ExitCode.DEADLINE
    assert "(--timeout)" in capsys.readouterr().err


def test_help_names_every_exit_code(capsys: Captured) -> None:
    assert main(["ask", "--help"]) == ExitCode.OK
    shown = capsys.readouterr().out
    for code in ExitCode:
        assert f"  {code.value}  " in shown


@pytest.mark.parametrize("command", [["ask", "why?"], ["ask", "why?", "--timeout", "0.000001"]])
def test_ctrl_c_is_the_callers_again_when_a_question_has_ended(
    command: list[str], cloud: ScriptedCloud, decoder: ScriptedDecoder
) -> None:
    def mine(_number: int, _frame: object) -> None: ...

    before = signal.signal(signal.SIGINT, mine)
    try:
        main(command)
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("release unlocked lock"), ModelProblem("failed")])
def test_what_ctrl_c_breaks_is_an_interruption(
    error: Exception,
    as_json: bool,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    def load(*_: object) -> NoReturn:
        try:
            signal.raise_signal(signal.SIGINT)
        except Interrupted as interrupted:
            raise error from interrupted
        raise AssertionError

    monkeypatch.setattr(session, "load_decoder", load)
    command = ["ask", "why?", "--device-only", *(["--json"] if as_json else [])]
    assert main(command) == ExitCode.INTERRUPTED
    shown = capsys.readouterr()
    if as_json:
        assert json.loads(shown.out)["error"]["message"] == "interrupted"
    else:
        assert shown.err.splitlines()[-1] == "duet-device: interrupted"


@pytest.mark.slow
def test_ctrl_c_stops_device_and_cloud(home: Path) -> None:
    program = (
        "import sys; from duet_device import session; "
        "from tests.doubles.decoder import ScriptedDecoder; "
        "session.load_decoder = lambda pair, threads: ScriptedDecoder(lambda ids: 65); "
        "from duet_device.cli import main; sys.exit(main(['ask', 'why?']))"
    )

    def hangs(_: object, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        yield tokens(65)
        while context.is_active():
            time.sleep(0.01)

    with ScriptedCloud(hangs) as cloud:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "DUET_SERVER": cloud.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # At whatever the device does by then.
        assert cloud.asked.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert cloud.ended.wait(60)
    assert process.returncode == ExitCode.INTERRUPTED
    assert out == b""
    assert err.strip() == b"duet-device: interrupted"
