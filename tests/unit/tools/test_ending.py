"""How the tools' commands end: streams that are closed or full, missing packages, no traceback."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from duet_tools import bench_split, capacity, demo, link_emulator, report_tables, tls_cost
from duet_tools.ending import end

TOOLS = Path(__file__).parents[3] / "tools"
COMMANDS = (bench_split, capacity, demo, link_emulator, report_tables, tls_cost)


def shell(line: str) -> tuple[int, str]:
    """Exit code and stderr of a shell's line; `python` is this one."""
    command = line.replace("python ", f"{sys.executable} ")
    done = subprocess.run(
        ["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False, cwd=TOOLS.parent
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("python tools/duet_tools/link_emulator.py --list | true; exit ${PIPESTATUS[0]}", 141, ""),
        (
            "python tools/duet_tools/link_emulator.py --list >/dev/full",
            1,
            "link_emulator: cannot write to stdout: No space left on device\n",
        ),
        (
            "python tools/duet_tools/capacity.py --help >&-",
            1,
            "capacity: cannot write to stdout: Bad file descriptor\n",
        ),
        ("python tools/duet_tools/bench_split.py 2>&- <&-", 2, ""),
    ],
)
def test_streams_that_are_closed_full_or_abandoned(line: str, code: int, said: str) -> None:
    assert shell(line) == (code, said)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda module: module.__name__)
def test_a_missing_package_is_one_line(
    command: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    assert command.main(["--help"]) == 1
    said = capsys.readouterr().err
    assert (
        "Python package click is not installed; install it with: pip install ./proto ./device ./tools/report ./tools"
        in said
    )
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda module: module.__name__)
def test_a_command_imports_nothing_that_may_be_missing_before_it_runs(command: ModuleType) -> None:
    assert command.__file__
    tree = ast.parse(Path(command.__file__).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (OSError(28, "No space left on device", "out"), 1, "[Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("of no package"), 70, "internal error: ValueError: of no package"),
    ],
)
def test_whatever_is_raised_is_one_line(
    raised: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def command() -> None:
        raise raised

    assert end(lambda: command, "it.py", []) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"it: {said}")


def test_a_message_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert end(lambda: command, "it.py", ["\x1b]0;x\x07\n"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()


@click.command()
@click.argument("number", type=int)
def command(number: int) -> None:
    """Never gets there."""
