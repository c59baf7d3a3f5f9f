"""History: `ask` with it, `duet-device logs`, `duet-device forget`."""

import datetime as dt
import io
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from duet_contract import console
from duet_contract.receipt import Receipt
from duet_contract.terminal import printable
from duet_device.cli import main
from duet_device.errors import ExitCode, VaultError
from duet_device.history import store as history
from duet_device.history.store import History
from duet_device.privacy import identifiers
from duet_device.privacy.names import find_names
from duet_device.recorder import Recorder
from duet_device.vault import vault
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder
from tests.doubles.stored import DAMAGE, alter, encrypted, ids

Captured = pytest.CaptureFixture[str]
QUESTION = "who holds the horse?"


def test_nothing_is_stored_before_it_is_asked_for(
    cloud: ScriptedCloud, home: Path, capsys: Captured
) -> None:
    assert main(["ask", QUESTION]) == ExitCode.OK
    assert main(["logs"]) == ExitCode.OK
    assert not (home / "history.db").exists()
    assert not (home / "vault.json").exists()
    out, err = capsys.readouterr()
    assert out == "häppy 🙂\n"
    assert "there are no stored answers; duet-device logs on stores them" in err


def test_answers_are_stored_and_shown(cloud: ScriptedCloud, home: Path, capsys: Captured) -> None:
    assert main(["logs", "on"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert str(home / "history.db") in said
    assert "the system's keyring" in said
    assert "never what is in them" in said
    notes = home / "notes.txt"
    notes.write_text("the groom holds it")
    assert main(["ask", QUESTION, "--context", str(notes)]) == ExitCode.OK
    (id_,) = ids(home)
    assert f"stored as {id_}" in capsys.readouterr().err

    assert main(["logs"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.startswith(id_)
    shown = f"question: {QUESTION}\ncontext: {notes}\nsignal: because\nanswer: häppy 🙂\nduet · 7 "
    assert shown in out
    assert main(["logs", "--json"]) == ExitCode.OK
    record = json.loads(capsys.readouterr().out)
    assert record["id"] == id_
    assert Receipt.model_validate(record["receipt"]).answer == "häppy 🙂"
    assert "groom" not in json.dumps(record)


def test_nothing_stored_can_be_read_without_the_key(cloud: ScriptedCloud, home: Path) -> None:
    main(["logs", "on"])
    assert main(["ask", QUESTION]) == ExitCode.OK
    kept = (home / "history.db").read_bytes()
    for text in (QUESTION, "because", "häppy 🙂", "bytes@1.0.0", str(dt.date.today().year)):
        assert text.encode() not in kept
    assert (home / "history.db").stat().st_mode & 0o077 == 0
    assert home.stat().st_mode & 0o077 == 0


def test_redacted_question_shows_what_was_sent(
    cloud: ScriptedCloud,
    home: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identifiers, "load_finders", lambda note: [find_names])
    words = tmp_path / "words"
    words.write_text("horse = ANIMAL")
    main(["logs", "on"])
    assert main(["ask", QUESTION, "--redact-words", str(words)]) == ExitCode.OK
    capsys.readouterr()
    main(["logs"])
    assert f"question: {QUESTION}\nsent: who holds the [ANIMAL_1]?\n" in capsys.readouterr().out


def test_off_on_and_for_one_question(cloud: ScriptedCloud, home: Path, capsys: Captured) -> None:
    assert main(["logs", "off"]) == ExitCode.OK
    assert not home.exists()
    main(["logs", "on"])
    main(["ask", QUESTION])
    main(["ask", QUESTION, "--no-log"])
    assert len(ids(home)) == 1
    capsys.readouterr()
    assert main(["logs", "off"]) == ExitCode.OK
    assert "1 stay, duet-device forget --all" in capsys.readouterr().out
    main(["ask", QUESTION])
    assert len(ids(home)) == 1
    main(["logs", "on"])
    main(["ask", QUESTION])
    assert len(ids(home)) == 2


def test_how_many_and_where(cloud: ScriptedCloud, home: Path, capsys: Captured) -> None:
    main(["logs", "on"])
    for _ in range(5):
        main(["ask", QUESTION])
    there = ids(home)
    for count, shown in (("1", there[-1:]), ("2", there[-2:]), ("0", there), (None, there[-3:])):
        capsys.readouterr()
        main(["logs", "--json", *(["-n", count] if count else [])])
        lines = capsys.readouterr().out.splitlines()
        assert [json.loads(line)["id"] for line in lines] == shown
    main(["logs", "path"])
    assert capsys.readouterr().out == f"{home / 'history.db'}\n"


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_record_is_named_and_the_others_shown(
    name: str, cloud: ScriptedCloud, home: Path, capsys: Captured
) -> None:
    main(["logs", "on"])
    for _ in range(3):
        main(["ask", QUESTION])
    there = ids(home)
    alter(home, there[1], DAMAGE[name])
    capsys.readouterr()
    assert main(["logs", "--json"]) == ExitCode.VAULT
    out, err = capsys.readouterr()
    assert [json.loads(line)["id"] for line in out.splitlines()] == [there[0], there[2]]
    assert err.startswith(f"duet-device: answer {there[1]} cannot be read: it ")
    assert err.splitlines()[1:] == ["duet-device: 1 of 3 answers cannot be read"]
    # A day later, all that has a date goes; what has none stays and is named.
    tomorrow = (dt.date.today() + dt.timedelta(days=1)).isoformat()
    assert main(["forget", "--before", tomorrow]) == ExitCode.VAULT
    assert there[1] in capsys.readouterr().err
    assert ids(home) == [there[1]]
    assert main(["forget", there[1]]) == ExitCode.OK
    assert ids(home) == []


def test_forget(cloud: ScriptedCloud, home: Path, capsys: Captured) -> None:
    main(["logs", "on"])
    for _ in range(4):
        main(["ask", QUESTION])
    first, second, *_ = ids(home)
    kept = encrypted(home, first)
    assert kept in (home / "history.db").read_bytes()
    assert main(["forget", first, second]) == ExitCode.OK
    assert kept not in (home / "history.db").read_bytes()
    assert [path.name for path in home.glob("history.db*")] == ["history.db"]
    assert capsys.readouterr().out.endswith("2 answers forgotten\n")
    assert main(["forget", first]) == ExitCode.USAGE
    assert main(["forget", "--before", "2020-01-01"]) == ExitCode.OK
    assert len(ids(home)) == 2
    # Forgetting all needs no key.
    keyring.set_keyring(NoKeyring())
    vault._opened.clear()
    assert main(["forget", "--all"]) == ExitCode.OK
    assert ids(home) == []
    assert main(["forget", "--all"]) == ExitCode.OK


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31"])
def test_dates_at_the_ends_of_the_calendar(
    date: str, cloud: ScriptedCloud, home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["logs", "on"])
    main(["ask", QUESTION])
    capsys.readouterr()
    assert main(["forget", "--before", date]) in (ExitCode.OK, ExitCode.USAGE)
    assert "internal error" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["abc", "--all"], ["--all", "--before", "2020-01-01"], ["--before", "soon"], ["nosuch"]],
)
def test_forget_wants_one_clear_choice(arguments: list[str], home: Path, capsys: Captured) -> None:
    assert main(["forget", *arguments]) == ExitCode.USAGE
    assert "Traceback" not in capsys.readouterr().err


def test_another_key_or_none(
    cloud: ScriptedCloud, home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["logs", "on"])
    main(["ask", QUESTION])
    keyring.set_keyring(NoKeyring())
    vault._opened.clear()
    capsys.readouterr()
    assert main(["logs"]) == ExitCode.VAULT
    assert "keyring, which cannot be reached" in capsys.readouterr().err
    # A question is answered all the same, and its loss is said.
    assert main(["ask", QUESTION]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == "häppy 🙂\n"
    assert "duet-device: answer not stored: " in err
    # A new vault does not decrypt what the old one encrypted.
    (home / "vault.json").unlink()
    monkeypatch.setenv("DUET_PASSPHRASE", "new")
    monkeypatch.setattr(vault, "_ARGON2", {"iterations": 1, "lanes": 1, "memory_kib": 64})
    main(["logs", "on"])
    capsys.readouterr()
    assert main(["logs"]) == ExitCode.VAULT
    assert "another key" in capsys.readouterr().err


def test_without_keyring_and_passphrase_nothing_is_switched_on(
    cloud: ScriptedCloud, home: Path, capsys: Captured
) -> None:
    keyring.set_keyring(NoKeyring())
    assert main(["logs", "on"]) == ExitCode.VAULT
    assert "set DUET_PASSPHRASE" in capsys.readouterr().err
    assert not (home / "history.db").exists()
    assert main(["ask", QUESTION]) == ExitCode.OK


def test_a_locked_vault_is_told_before_the_question_is_sent(
    cloud: ScriptedCloud, home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUET_PASSPHRASE", "one")
    monkeypatch.setattr(vault, "_ARGON2", {"iterations": 1, "lanes": 1, "memory_kib": 64})
    main(["logs", "on"])
    monkeypatch.delenv("DUET_PASSPHRASE")
    vault._opened.clear()
    capsys.readouterr()
    asked_before: list[int] = []
    prepare = Recorder._prepare

    def watched(recorder: Recorder) -> bool:
        asked_before.append(len(cloud.requests))
        return prepare(recorder)

    monkeypatch.setattr(Recorder, "_prepare", watched)
    assert main(["ask", QUESTION]) == ExitCode.OK
    assert asked_before == [0]
    assert "answer not stored: the vault is locked with a passphrase" in capsys.readouterr().err
    assert main(["logs"]) == ExitCode.OK  # there is nothing to unlock


@pytest.mark.parametrize("content", [b"no database", b"\0" * 4096, None])
def test_a_history_that_is_none(
    content: bytes | None, cloud: ScriptedCloud, home: Path, capsys: Captured
) -> None:
    home.mkdir()
    if content is None:
        with sqlite3.connect(home / "history.db") as database:
            database.execute("CREATE TABLE settings (keeping)")
        database.close()
    else:
        (home / "history.db").write_bytes(content)
    for command in (["logs"], ["forget", "--all"], ["logs", "on"]):
        code = main(command)
        assert code == ExitCode.VAULT, command
        assert "history.db" in capsys.readouterr().err
    assert main(["ask", QUESTION]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == "häppy 🙂\n"
    assert "answer not stored: " in err


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM settings",
        "DROP TABLE answers",
        "UPDATE answers SET id = CAST(x'ff' AS TEXT)",
        "UPDATE answers SET id = NULL",
    ],
)
def test_a_damaged_history_is_one_line(
    statement: str, cloud: ScriptedCloud, home: Path, capsys: Captured
) -> None:
    main(["logs", "on"])
    main(["ask", QUESTION])
    with sqlite3.connect(home / "history.db") as database:
        database.execute(statement)
    database.close()
    for command in (["logs"], ["logs", "off"], ["forget", "--all"], ["ask", QUESTION, "--quiet"]):
        capsys.readouterr()
        assert main(command) in (ExitCode.OK, ExitCode.VAULT), command
        assert capsys.readouterr().err.count("\n") <= 2, command


class FullDisk(sqlite3.Connection):
    """A disk on which nothing new has room: neither a journal nor a temporary file."""

    in_memory = 0

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.in_memory += sql.endswith("= MEMORY")
        if sql.startswith(("BEGIN", "UPDATE", "VACUUM")) and self.in_memory < 2:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return super().execute(sql, *parameters)


def test_forgetting_needs_no_room(
    cloud: ScriptedCloud, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["logs", "on"])
    main(["ask", QUESTION])
    record = encrypted(home, ids(home)[0])
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *given, **named: connect(*given, **named, factory=FullDisk)
    )
    assert main(["forget", "--all"]) == ExitCode.OK
    assert main(["logs", "off"]) == ExitCode.OK
    monkeypatch.undo()
    assert ids(home) == []
    assert not History.of(home).enabled
    assert record not in (home / "history.db").read_bytes()


def test_only_an_answer_that_was_written_is_stored(
    cloud: ScriptedCloud, home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["logs", "on"])
    for options in ([], ["--json"]):
        full = console._Output(os.open("/dev/full", os.O_WRONLY))
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", console._text_stream(full, None, "strict"))
            assert main(["ask", QUESTION, *options]) == ExitCode.OUTPUT
    err = capsys.readouterr().err
    assert err.count("cannot write to stdout: No space left on device") == 2
    assert ids(home) == []


def test_what_was_not_stored_is_told_on_a_line_of_its_own(
    cloud: ScriptedCloud, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both streams into one, as a terminal or `2>&1` has it."""
    main(["logs", "on"])

    def fails(*_: object) -> None:
        raise VaultError("the disk is full")

    monkeypatch.setattr(History, "add", fails)
    both = io.StringIO()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    assert main(["ask", QUESTION, "--quiet"]) == ExitCode.OK
    assert both.getvalue() == "häppy 🙂\nduet-device: answer not stored: the disk is full\n"


def test_what_others_said_is_escaped(
    cloud: ScriptedCloud, decoder: ScriptedDecoder, home: Path, capsys: Captured
) -> None:
    hostile = "\x9b2J\x7f\u202e\x1b]0;x\x07"
    cloud.script = says(tokens(*hostile.encode()), done(len(hostile.encode())))
    main(["logs", "on"])
    capsys.readouterr()
    options = ["--json", "--show-sent", "--show-signal"]
    assert main(["ask", f"why {hostile}", *options]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert json.loads(out)["signal"] == hostile
    sent = next(line for line in err.splitlines() if "sent: " in line)
    assert json.loads(sent.split("sent: ")[1])["question"] == f"why {hostile}"
    assert main(["logs", "--json"]) == ExitCode.OK
    logged = capsys.readouterr().out
    assert json.loads(logged)["question"] == f"why {hostile}"
    assert main(["logs"]) == ExitCode.OK
    shown = capsys.readouterr().out
    for text in (out, err, logged, shown):
        assert text == printable(text)


def test_a_history_of_a_newer_version(cloud: ScriptedCloud, home: Path, capsys: Captured) -> None:
    main(["logs", "on"])
    with sqlite3.connect(home / "history.db") as database:
        database.execute(f"PRAGMA user_version = {history._VERSION + 1}")
    database.close()
    assert main(["logs"]) == ExitCode.VAULT
    assert "newer DUET" in capsys.readouterr().err
