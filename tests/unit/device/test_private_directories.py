"""Every command where there is no home, or something else in its place: one line, no traceback."""

import os
import pwd
from pathlib import Path

import pytest

from duet_device import session
from duet_device.cli import main
from duet_device.errors import ExitCode
from duet_device.vault import vault
from tests.doubles.decoder import ScriptedDecoder

Captured = pytest.CaptureFixture[str]
COMMANDS = [
    ["logs", "on"],
    ["forget", "--all"],
    ["pairs"],
    ["rm", "--yes", "toy"],
    ["trust"],
    ["pull", "hub:acme/toy"],
    ["ask", "why?", "--server", "127.0.0.1:9", "--reuse"],
]


@pytest.fixture(autouse=True)
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable names a directory; a vault would open without being asked."""
    for name in os.environ:
        if name.startswith(("DUET_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DUET_PASSPHRASE", "pass")
    monkeypatch.setattr(vault, "_opened", {})
    monkeypatch.setattr(vault, "_ARGON2", {"iterations": 1, "lanes": 1, "memory_kib": 64})


def ends_in_a_line(command: list[str], capsys: Captured) -> tuple[int, str]:
    code = main(command)
    err = capsys.readouterr().err
    assert code in list(ExitCode), err  # and not of an internal error
    assert err.count("\n") <= 1
    assert "internal error" not in err
    return code, err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_home(command: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    code, err = ends_in_a_line(command, capsys)
    assert code in (ExitCode.MODEL, ExitCode.VAULT)
    assert "home directory" in err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("variables", "place"),
    [
        *((("HOME",), place) for place in ("/dev/null", "file", "nothing")),
        *(
            (("DUET_HOME", "DUET_PAIRS"), place)
            for place in ("/dev/null", "file", "loop", "nothing", "~no-such-user")
        ),
    ],
)
def test_no_directory(
    variables: tuple[str, ...],
    place: str,
    command: list[str],
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    # What no variable names is looked for here, and never in the home of whoever runs the tests.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in variables:
        monkeypatch.setenv(name, place if place[0] in "/~" else str(tmp_path / place))
    ends_in_a_line(command, capsys)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_home_that_is_not_utf8(
    command: list[str], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = os.fsdecode(os.fsencode(tmp_path) + b"/h\xff")
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("DUET_HOME", home)
    monkeypatch.setenv("DUET_PAIRS", home + "/pairs")
    ends_in_a_line(["logs", "on"], capsys)
    ends_in_a_line(command, capsys)


def test_an_answer_needs_no_home_where_variables_name_all(
    installed: Path,
    decoder: ScriptedDecoder,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DUET_HOME", str(installed))
    monkeypatch.setenv("DUET_PAIRS", str(installed.parent / "pairs"))
    monkeypatch.setenv("DUET_PAIR", "bytes")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    monkeypatch.setattr(session, "load_decoder", lambda pair, threads: decoder)
    assert main(["ask", "why?", "--device-only"]) == ExitCode.OK
    assert capsys.readouterr().out == "häppy 🙂\n"
    assert main(["pairs"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("bytes")


def test_a_path_for_programs_is_exact(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = os.fsencode(tmp_path) + b"/h\xff"
    monkeypatch.setenv("DUET_HOME", os.fsdecode(home))
    assert main(["logs", "path"]) == ExitCode.OK
    assert capfdbinary.readouterr().out == home + b"/history.db\n"
