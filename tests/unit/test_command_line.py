"""Every command of the four installed ones: its help, its options, and what it imports for them."""

import importlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from duet_contract.commands import LazyGroup, Program

ROOT = Path(__file__).parents[2]
PROJECTS = ("device", "cloud", "tools", "training")
SCRIPTS = {
    name: target
    for project in PROJECTS
    for name, target in tomllib.loads((ROOT / project / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]["scripts"].items()
}
# What makes a command slow to start.
HEAVY = {"grpc", "llama_cpp", "matplotlib", "numpy", "pydantic", "ray", "torch", "vllm"}
# Passes what it does not know on to vLLM.
OPEN = {"duet-cloud serve"}


def program(script: str) -> Program:
    package = SCRIPTS[script].partition(".")[0]
    found = importlib.import_module(f"{package}.commands.program").PROGRAM
    assert isinstance(found, Program)
    return found


def walk(path: str, command: click.Command, parent: click.Context) -> Iterator[tuple[str, ...]]:
    """The words of each command below one, itself included."""
    yield tuple(path.split())
    if isinstance(command, click.Group):
        context = click.Context(command, parent, path.split()[-1])
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below, name
            yield from walk(f"{path} {name}", below, context)


def commands() -> list[tuple[str, ...]]:
    found = []
    for script in SCRIPTS:
        group = program(script).group()
        found += walk(script, group, click.Context(group, info_name=script))
    return found


COMMANDS = commands()
each_command = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


def command_of(words: tuple[str, ...]) -> click.Command:
    command: click.Command = program(words[0]).group()
    # A command is loaded once, and keeps the names of its variables.
    prefix = command.context_settings["auto_envvar_prefix"]
    context = click.Context(command, info_name=words[0], auto_envvar_prefix=prefix)
    for word in words[1:]:
        assert isinstance(command, click.Group)
        below = command.get_command(context, word)
        assert below
        command, context = below, click.Context(below, context, word)
    return command


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_installed_command_is_there(script: str) -> None:
    module, _, attribute = SCRIPTS[script].partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))
    assert importlib.import_module(f"{module.partition('.')[0]}.__main__")


@each_command
def test_help_fits_a_terminal(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    asked = "-h" if len(words) == 2 else "--help"
    assert program(words[0]).run([*words[1:], asked]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: {' '.join(words)} ")
    assert max(map(len, shown.splitlines())) < 100


@each_command
def test_helps_are_short_and_there(words: tuple[str, ...]) -> None:
    command = command_of(words)
    assert command.help
    if isinstance(command, click.Group):
        lazy = command.lazy if isinstance(command, LazyGroup) else {}
        below = {name: text for name, (_, text) in lazy.items()}
        below |= {name: one.get_short_help_str(1000) for name, one in command.commands.items()}
        for name, text in below.items():
            assert 0 < len(text) < 45, name
            assert text.endswith("."), name
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.opts
            assert len(option.help) < 90, option.opts
            assert option.help[0].isupper(), option.opts
            assert option.help.endswith("."), option.opts


@each_command
def test_an_option_has_an_environment_variable_named_after_its_flag(words: tuple[str, ...]) -> None:
    for option in command_of(words).params:
        if isinstance(option, click.Option) and option.allow_from_autoenv:
            assert option.envvar, option.opts
            flag = max(option.opts, key=len).lstrip("-").replace("-", "_").upper()
            assert str(option.envvar).endswith(flag) or option.envvar == "DUET_AUTHORITY"


@pytest.mark.parametrize("words", [w for w in COMMANDS if " ".join(w) not in OPEN], ids=" ".join)
def test_an_unknown_option_is_one_line_and_usage(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(words[0]).run([*words[1:], "--no-such-option"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{words[0]}: No such option '--no-such-option'")
    assert line.endswith(f"; see: {' '.join(words)} --help")


def _takes_json(words: tuple[str, ...]) -> bool:
    return any("--json" in option.opts for option in command_of(words).params)


@pytest.mark.parametrize("words", list(filter(_takes_json, COMMANDS)), ids=" ".join)
def test_with_json_an_error_of_usage_is_an_object(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(words[0]).run([*words[1:], "--json", "--no-such-option"]) == 2
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert (error["type"], error["exit_code"], shown.err) == ("UsageError", 2, "")
    assert error["message"].endswith(f"; see: {' '.join(words)} --help")


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_completion_import_nothing_heavy(script: str) -> None:
    package = SCRIPTS[script].partition(".")[0]
    commands = (["--help"], ["ask", "--help"]) if script == "duet-device" else (["--help"],)
    code = (
        f"import os, sys; from {package}.cli import main\n"
        f"assert not any(map(main, {list(commands)!r}))\n"
        f"name = '_{script}_COMPLETE'.replace('-', '_').upper()\n"
        f"os.environ |= {{name: 'bash_complete', 'COMP_WORDS': '{script} ', 'COMP_CWORD': '1'}}\n"
        "try: main([])\n"
        "except SystemExit: pass\n"
        f"sys.exit(','.join({HEAVY!r} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "plain,completion" in done.stdout


@pytest.mark.parametrize(
    ("script", "shell"), [*zip(SCRIPTS, ["bash", "zsh", "fish", "bash"], strict=True)]
)
def test_completion_prints_a_script(
    script: str, shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(script).run(["completion", shell]) == 0
    assert f"_{script.replace('-', '_')}_completion" in capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_version_is_the_packages_own_or_a_line(
    script: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    monkeypatch.setattr(metadata, "version", lambda name: f"9 of {name}")
    assert program(script).run(["--version"]) == 0
    assert capsys.readouterr().out == f"{script} 9 of {program(script).distribution}\n"

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert program(script).run(["--version"]) != 0
    assert "is not installed" in capsys.readouterr().err
