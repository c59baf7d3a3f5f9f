"""`duet-device status`, `purge`, and `duet-device` alone."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest

from duet_contract.builder import builder_key
from duet_contract.keys import public_bytes
from duet_contract.pairs import pairs_home
from duet_contract.private_files import write_private
from duet_device.cli import main
from duet_device.decoder import threads
from duet_device.errors import ExitCode
from duet_device.identity.credentials import Identity, encrypt_key, save_identity
from duet_device.serve.files import locked
from duet_device.stored import everything
from duet_device.trust.publishers import BY_HAND, pin
from duet_device.vault import vault
from tests.doubles.keyring import MemoryKeyring
from tests.doubles.pulls import KEY
from tests.doubles.small_pairs import write_pair
from tests.doubles.terminal import CTRL_C, Terminal

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories of a device, next to which others have files."""
    for name in [name for name in os.environ if name.startswith("DUET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("STATE", "DATA", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    assert pairs_home().is_relative_to(tmp_path)
    return tmp_path


@pytest.fixture
def filled(places: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    """Everything that a device stores; its keyring."""
    backend = MemoryKeyring()
    before = keyring.get_keyring()
    monkeypatch.setattr(vault, "_opened", {})
    keyring.set_keyring(backend)
    try:
        builder_key()
        write_pair(pairs_home() / "toy", KEY)
        pin(BY_HAND, (public_bytes(KEY),))
        encrypted = encrypt_key("a test", b"key")
        save_identity(
            Identity("a.example.org:1", "laptop", encrypted_key=encrypted, ends=2_000_000_000.0)
        )
        assert main(["config", "set", "server", "a.example.org:1"]) == ExitCode.OK
        assert main(["logs", "on"]) == ExitCode.OK
        (pairs_home() / ".pulling").mkdir()
        write_private(places / "state" / "duet" / "verified.json", b"{}")
        write_private(threads.file(), b"{}")
        write_private(places / "data" / "duet" / "serve.token", b"token")
        yield backend
    finally:
        keyring.set_keyring(before)


def test_status_says_what_is_where(filled: MemoryKeyring, capsys: Captured) -> None:
    capsys.readouterr()
    assert main(["status"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.startswith("server     a.example.org:1\n")
    assert "\npair       toy 1.0.0 0.0 MB signed by " in out
    assert "\nidentity   laptop with a.example.org:1, until 2033-05-18\n" in out
    for each in everything():
        assert f"{each.path}: {each.what}\n" in out
    assert 'next:  duet-device ask "What is 17 + 25?"\n' in out


def test_purge_deletes_all_of_it_and_nothing_else(
    filled: MemoryKeyring, places: Path, capsys: Captured
) -> None:
    others = [
        places / "data" / "duet" / "authority" / "key",
        places / "cache" / "duet" / "other.txt",
        places / "mine.txt",
    ]
    linked = places / "linked"
    linked.mkdir()
    for path in (*others, linked / "kept"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("not ours")
    (pairs_home() / ".old").symlink_to(linked)
    assert filled.kept
    assert main(["purge", "--yes"]) == ExitCode.OK
    assert everything() == []
    assert filled.kept == {}
    left = {path for path in places.rglob("*") if path.is_file()}
    assert left == {*others, linked / "kept"}
    assert not pairs_home().exists()
    capsys.readouterr()
    assert main(["purge"]) == ExitCode.OK
    assert capsys.readouterr().out == "nothing is stored\n"


def test_purge_leaves_no_server_without_its_files(filled: MemoryKeyring, capsys: Captured) -> None:
    before = everything()
    capsys.readouterr()
    with locked():
        assert main(["purge", "--yes"]) == ExitCode.USAGE
        assert f"stop it with: kill {os.getpid()}" in capsys.readouterr().err
    assert set(before) <= set(everything())
    assert main(["purge", "--yes"]) == ExitCode.OK


@pytest.mark.slow
def test_purge_asks(filled: MemoryKeyring, capsys: Captured) -> None:
    assert main(["purge"]) == ExitCode.USAGE
    assert "duet-device purge --yes deletes without asking" in capsys.readouterr().err
    before = everything()
    for typed, code in (("\n", ExitCode.OK), ("n\n", ExitCode.OK), (CTRL_C, 130)):
        with Terminal("purge") as terminal:
            terminal.expect("Delete all of this? [y/N]: ")
            assert f"{pairs_home() / 'toy'}: pair toy" in terminal.shown.replace("\n", "")
            terminal.type(typed)
            assert terminal.end() == code
            assert "Traceback" not in terminal.shown
    assert everything() == before


@pytest.mark.slow
def test_alone_on_a_terminal_it_says_what_to_do_next(places: Path) -> None:
    with Terminal(columns=40) as terminal:
        assert terminal.end() == ExitCode.OK
        assert "next:  duet-device enroll HOST CODE" in terminal.shown
        assert "or:  duet-device ask" in terminal.shown


def test_alone_elsewhere_it_shows_its_help(capsys: Captured) -> None:
    assert main([]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert "Usage: duet-device" in out + err


def test_a_user_without_a_home_has_nothing(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: object) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", *(f"XDG_{each}_HOME" for each in ("STATE", "DATA", "CONFIG", "CACHE"))):
        monkeypatch.delenv(name)
    assert main(["purge", "--yes"]) == ExitCode.OK
    assert capsys.readouterr().out == "nothing is stored\n"
