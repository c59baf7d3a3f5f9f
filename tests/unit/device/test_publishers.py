"""Pinned publishers: what is stored, for whom, and that a damaged list trusts no key."""

import os
from pathlib import Path
from unittest.mock import Mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.keys import fingerprint, public_bytes, public_pem, save_private_key
from duet_contract.private_files import write_private
from duet_device.cli import main
from duet_device.errors import ExitCode, ModelProblem
from duet_device.trust.publishers import BY_HAND, pin, pinned

A, B, C = (bytes([n]) * 32 for n in (1, 2, 3))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_nobody_is_pinned_at_first() -> None:
    assert pinned() == ()
    assert pinned("host:1") == ()


def test_pins_are_kept_by_server_and_replaced_by_it_alone(home: Path) -> None:
    pin("host:1", (A, B, A))
    pin("host:2", (B,))
    assert pinned("host:1") == (A, B)
    assert set(pinned()) == {A, B}
    pin("host:1", (C,))
    assert pinned("host:1") == (C,)
    assert pinned("host:2") == (B,)
    pin("host:2", ())
    assert pinned() == (C,)


def test_the_list_is_its_owners_alone(home: Path) -> None:
    pin("host:1", (A,))
    (file,) = home.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


def test_under_a_umask_that_lets_the_group_write(tmp_path: Path, home: Path) -> None:
    """Whoever writes first makes the directories, and then all of them are the owner's alone."""
    before = os.umask(0o002)
    try:
        write_private(home / "builder" / "key", b"")
        assert pinned() == ()
        pin("host:1", (A,))
    finally:
        os.umask(before)
    assert pinned() == (A,)
    assert home.stat().st_mode & 0o777 == 0o700


def test_without_a_home_nobody_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container whose disk is read-only."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "none" / "home"))
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert pinned() == ()
    assert main(["logs", "on"]) == ExitCode.VAULT
    assert "set DUET_HOME to another directory" in capsys.readouterr().err


def test_a_key_of_another_length() -> None:
    with pytest.raises(ModelProblem, match="32 bytes"):
        pin("host:1", (b"short",))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": ["zz"]}', '{"a": ["00"]}', '{"a": 3}'])
def test_a_damaged_list_is_an_error_and_not_an_empty_one(home: Path, content: str) -> None:
    pin("host:1", (A,))
    (home / "publishers.json").write_text(content)
    with pytest.raises(ModelProblem, match="trusted publishers"):
        pinned()
    with pytest.raises(ModelProblem, match="trusted publishers"):
        pin("host:2", (B,))


def test_a_list_that_others_may_write(home: Path) -> None:
    pin("host:1", (A,))
    (home / "publishers.json").chmod(0o666)
    with pytest.raises(ModelProblem, match="other users may write"):
        pinned()


def test_a_home_that_is_a_link(home: Path, tmp_path: Path) -> None:
    pin("host:1", (A,))
    home.rename(tmp_path / "real")
    home.symlink_to(tmp_path / "real")
    assert pinned() == (A,)
    (tmp_path / "real").chmod(0o777)
    with pytest.raises(ModelProblem, match="other users may write"):
        pinned()


def test_trust_list_forget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = public_bytes(Ed25519PrivateKey.generate())
    file = tmp_path / "publisher.pub"
    file.write_bytes(public_pem(raw))
    assert main(["trust", str(file)]) == ExitCode.OK
    assert pinned(BY_HAND) == (raw,)
    assert fingerprint(raw) in capsys.readouterr().out
    assert main(["trust"]) == ExitCode.OK
    assert capsys.readouterr().out == f"{fingerprint(raw)}  by hand\n"
    assert main(["trust", "--forget", "zz"]) == ExitCode.USAGE
    assert main(["trust", "--forget", fingerprint(raw)[:8]]) == ExitCode.OK
    assert pinned() == ()


def test_trust_refuses_what_is_no_public_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private = tmp_path / "key.pem"
    save_private_key(private, Ed25519PrivateKey.generate(), None)
    (tmp_path / "text").write_text("hello")
    for file, said in (
        (private, "private key"),
        (tmp_path / "text", "not a public key"),
        (tmp_path / "none", "cannot read"),
    ):
        assert main(["trust", str(file)]) == ExitCode.MODEL
        assert said in capsys.readouterr().err
    assert pinned() == ()
