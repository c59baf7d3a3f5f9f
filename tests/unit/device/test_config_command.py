"""`duet-device config`: the file, its lines, and what overrides it."""

import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device import config
from duet_device.cli import main
from duet_device.errors import ExitCode, UsageProblem

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file, which is not there yet, of a device without settings."""
    for name in [name for name in os.environ if name.startswith("DUET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path / "pairs"))
    return tmp_path / "home" / "config.toml"


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    code = main(["config", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_each_source_overrides_the_next(
    file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        _, out, _ = run(capsys, "show")
        (line,) = (line for line in out.splitlines() if line.startswith("timeout"))
        return " ".join(line.split())

    assert shown() == "timeout = 120.0 # default"
    assert run(capsys, "set", "timeout", "30") == (0, "", "")
    assert shown() == "timeout = 30.0 # file"
    monkeypatch.setenv("DUET_TIMEOUT", "20")
    assert shown() == "timeout = 20.0 # DUET_TIMEOUT"
    assert run(capsys, "get", "timeout")[1] == "20.0\n"
    code, _, err = run(capsys, "set", "timeout", "10")
    assert code == ExitCode.OK
    assert "DUET_TIMEOUT is set, and overrides the file" in err


def test_what_show_prints_is_a_file(capsys: Captured, file: Path) -> None:
    _, out, _ = run(capsys, "show")
    file.parent.mkdir()
    file.write_text(out)
    assert run(capsys, "show")[1].count("# file") == len(tomllib.loads(out))


def test_a_new_file_explains_each_setting_and_sets_one(file: Path, capsys: Captured) -> None:
    assert run(capsys, "path")[1] == f"{file}\n"
    assert not file.exists()
    assert run(capsys, "set", "server", "cloud.example.org") == (0, "", "")
    text = file.read_text()
    assert tomllib.loads(text) == {"server": "cloud.example.org"}
    assert (
        "# Connection timeout in seconds. (DUET_CONNECT_TIMEOUT)\n# connect-timeout = 3.0" in text
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(capsys, "set", "server") == (0, "", "")
    assert tomllib.loads(file.read_text()) == {}
    assert run(capsys, "get", "server")[1] == "127.0.0.1:50151\n"


def test_comments_order_links_and_tables_of_a_hand_written_file_stay(
    file: Path, capsys: Captured, tmp_path: Path
) -> None:
    file.parent.mkdir()
    real = tmp_path / "dotfiles.toml"
    real.write_text('# mine\nserver = "a" # why\n\n[later]\nserver = 1\n')
    file.symlink_to(real)
    assert run(capsys, "set", "server", "b")[0] == ExitCode.OK
    assert run(capsys, "set", "budget", "5")[0] == ExitCode.OK
    assert file.is_symlink()
    assert real.read_text() == '# mine\nserver = "b"\nbudget = 5\n\n[later]\nserver = 1\n'
    assert "sets 'later', which duet-device ask does not know" in run(capsys, "show")[2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("timeout = ", "Invalid value (at end of document)"),
        ('timeout = "soon"', "timeout: 'soon' is not a valid number"),
        ("threads = true", "True is not a value of --threads"),
        ("budget = 0", "0 is not in the range"),
        ("budget = 1.5", "1.5 is not a value of --budget"),
        ("budget = inf", "inf is not a value of --budget"),
        (f"timeout = {10**400}", "is not a value of --timeout"),
        ("redact = 1", "1 is not a value of --redact"),
        ("pair = 5", "5 is not a value of --pair"),
        ("server = 2026-01-01", "is not a value of --server"),
        ("redact-words = 5", "5 is not a value of --redact-words"),
        ('redact-words = "\\u0000"', "is not a value of --redact-words"),
        ("budget = " + "9" * 5000, "integer string conversion"),
        ("budget = " + "[" * 100_000, "nested too deeply"),
        ("\xff", "codec can't decode"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_with_a_way_out(
    file: Path, capsys: Captured, content: str, said: str
) -> None:
    file.parent.mkdir()
    file.write_text(content, "latin-1")
    assert main(["ask", "why?"]) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert line.startswith(f"duet-device: {file}: ")
    assert line.endswith("correct it with: duet-device config edit")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "tiemout", "3"), "there is no setting 'tiemout'"),
        (("get", "yes"), "there is no setting 'yes'"),
        (("set", "server", "a b"), "'a b:50151' is not HOST:PORT"),
        (("set", "temperature", "0.001"), "temperature: '0.001': "),
        (("set", "quiet", "perhaps"), "quiet: 'perhaps' is not a valid boolean"),
    ],
)
def test_what_is_no_setting_is_not_written(
    arguments: tuple[str, ...], said: str, file: Path, capsys: Captured
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert said in err
    assert not file.exists()


def test_a_value_over_several_lines_is_changed_by_hand(file: Path, capsys: Captured) -> None:
    file.parent.mkdir()
    file.write_text('server = """\na"""\n')
    code, _, err = run(capsys, "set", "server", "b")
    assert code == ExitCode.USAGE
    assert "cannot be changed in place" in err
    assert file.read_text() == 'server = """\na"""\n'


def test_a_place_that_cannot_be_written(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_CONFIG", "/dev/null/config.toml")
    code, _, err = run(capsys, "set", "budget", "5")
    assert code == ExitCode.USAGE
    assert "set DUET_CONFIG to another file" in err


def test_an_editor_may_write_what_is_wrong(
    file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "budget = many" >> "$1"\n')
    editor.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    code, _, err = run(capsys, "edit")
    assert code == ExitCode.USAGE
    assert "correct it with" in err
    assert "# budget =\n" in file.read_text()


NAMES = st.sampled_from(["server", "pair", "budget"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none()


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
@pytest.mark.slow
def test_any_changes_leave_exactly_what_was_set(changes: list[tuple[str, object]]) -> None:
    config.config_path().unlink(missing_ok=True)
    wanted: dict[str, object] = {}
    for name, value in changes:
        try:
            config.store({name: value}, template="# first\n# pair =\n")
        except UsageProblem:
            continue
        wanted.pop(name, None)
        wanted |= {name: value} if value is not None else {}
        assert config.load() == wanted
