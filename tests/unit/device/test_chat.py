"""`duet-device chat`: turns from a pipe, its commands, and stored chats."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from duet_device import session
from duet_device.cli import main
from duet_device.errors import ExitCode
from duet_device.vault import vault
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import END, ScriptedDecoder
from tests.doubles.keyring import MemoryKeyring

Captured = pytest.CaptureFixture[str]
Chat = Callable[..., int]


@pytest.fixture
def cloud(
    installed: Path, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedCloud]:
    monkeypatch.delenv("DUET_PASSPHRASE", raising=False)
    monkeypatch.setattr(vault, "_opened", {})
    monkeypatch.setattr(session, "load_decoder", lambda pair, threads: decoder)
    keyring.set_keyring(MemoryKeyring())
    with ScriptedCloud(says(tokens(*b"be"), tokens(*b"cause"), done(7))) as cloud:
        monkeypatch.setenv("DUET_SERVER", cloud.address)
        yield cloud
    keyring.set_keyring(NoKeyring())


@pytest.fixture
def chat(cloud: ScriptedCloud, monkeypatch: pytest.MonkeyPatch) -> Chat:
    """Runs the command with these lines on stdin."""

    def run(*lines: str, options: tuple[str, ...] = ()) -> int:
        data = "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return main(["chat", "--quiet", *options])

    return run


def read(decoder: ScriptedDecoder) -> str:
    """What the decoder's window holds."""
    return bytes(token if token < END else ord("|") for token in decoder.ids).decode()


def test_turns_from_a_pipe(
    chat: Chat, cloud: ScriptedCloud, decoder: ScriptedDecoder, capsys: Captured
) -> None:
    assert chat("who?", "", "why?") == ExitCode.OK
    assert capsys.readouterr() == ("häppy 🙂\nhäppy 🙂\n", "")
    assert [request.question for request in cloud.requests] == ["who?", "why?"]
    assert read(decoder).startswith("Q:who? S:because A:häppy 🙂|Q:why? S:because A:")


def test_sharing_and_resetting(chat: Chat, cloud: ScriptedCloud, decoder: ScriptedDecoder) -> None:
    assert chat("a?", "b?", "/share 0", "c?", "/reset", "d?", options=("--share-history", "1")) == 0
    shared = "Question: a?\nAnswer: häppy 🙂\n\nQuestion: b?"
    assert [request.question for request in cloud.requests] == ["a?", shared, "c?", "d?"]
    assert read(decoder).startswith("Q:d? S:because")


def test_commands(chat: Chat, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "my turns.md"
    lines = ("/help", "/signal", "why?", "/stats", f"/save '{file}'", "/signal", "/exit", "who?")
    assert chat(*lines) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out.startswith("/signal  show the last signal")
    assert "1 answer, 7 large-model tokens (11 saved), " in out
    assert out.count("häppy") == 1
    assert "because" in err
    assert file.read_text() == "## why?\n\nhäppy 🙂\n"
    assert file.stat().st_mode & 0o077 == 0
    assert chat("why?", "/signal") == ExitCode.OK
    assert capsys.readouterr().out == "häppy 🙂\nbecause\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/nope", "there is no /nope"),
        ("/share many", "give a number"),
        ("/save", "give a file"),
        ("/save /dev/null/x", "cannot write /dev/null/x: "),
        ("/save 'x", "No closing quotation"),
        ("q" * 2000, "the question has 2000 bytes"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_a_line_of_a_pipe_that_fails_ends_the_chat(
    chat: Chat, line: str, said: str, capsys: Captured
) -> None:
    assert chat(line, "why?") == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_a_stored_chat_continues(
    chat: Chat, cloud: ScriptedCloud, decoder: ScriptedDecoder, capsys: Captured
) -> None:
    assert chat("why?", options=("--continue",)) == ExitCode.USAGE
    assert "no stored chat; duet-device logs on" in capsys.readouterr().err
    assert main(["logs", "on"]) == ExitCode.OK
    assert chat("a?", "b?") == ExitCode.OK
    assert main(["ask", "alone?"]) == ExitCode.OK
    assert chat("c?", options=("--continue",)) == ExitCode.OK
    assert read(decoder).startswith(
        "Q:a? S:because A:häppy 🙂|Q:b? S:because A:häppy 🙂|Q:c? S:because A:"
    )
    capsys.readouterr()
    assert main(["logs", "-n", "0", "--json"]) == ExitCode.OK
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    chats = [record["conversation"] for record in records]
    assert chats[0] == chats[1] == chats[3] is not None
    assert chats[2] is None
    # Another chat is the last one now; the first is found by any of its answers.
    assert chat("other?") == ExitCode.OK
    assert chat("d?", options=("--continue", records[1]["id"], "--no-log")) == ExitCode.OK
    assert read(decoder).startswith("Q:a? S:because")
    assert "|Q:c? S:because" in read(decoder)
    assert chat("e?", options=("--continue", "stranger")) == ExitCode.USAGE
    assert "no stored chat with stranger" in capsys.readouterr().err
    assert main(["logs", "-n", "1"]) == ExitCode.OK
    assert "  chat " in capsys.readouterr().out


def test_redaction_of_a_chat(chat: Chat, cloud: ScriptedCloud, capsys: Captured) -> None:
    options = ("--redact", "--share-history", "2")
    assert chat("Dr. Anna Berg?", "Anna?", options=options) == ExitCode.OK
    shared = "Question: Dr. [NAME_1]?\nAnswer: häppy 🙂\n\n"
    assert cloud.requests[1].question == f"{shared}Question: [NAME_1]?"
    assert chat("a" * 30, "b" * 30, options=options) == ExitCode.USAGE
    assert "share fewer earlier turns" in capsys.readouterr().err
