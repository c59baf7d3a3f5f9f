"""The help of every command, from the command trees, as one Markdown page."""

import importlib
import os
from collections.abc import Iterator
from unittest.mock import patch

import click

from duet_contract.commands import Program

WIDTH = 88


# Modules with a `PROGRAM` (`duet_contract.commands.Program`).
PROGRAMS = (
    "duet_device.commands.program",
    "duet_cloud.commands.program",
    "duet_tools.commands.program",
    "duet_training.commands.program",
)


def page() -> str:
    """The page, with a heading for each program and command."""
    # An option's default must not depend on who writes the page.
    others = {name: value for name, value in os.environ.items() if not name.startswith("DUET_")}
    with patch.dict(os.environ, others, clear=True):
        return _page()


def _page() -> str:
    parts = [
        "# Commands\n\n"
        "The help of every command. `make docs-update` writes this page from the command trees; "
        "`make lint` fails if it is stale.\n"
    ]
    for module in PROGRAMS:
        program: Program = importlib.import_module(module).PROGRAM
        parts.append(f"\n## {program.name}\n\n{program.help}\n")
        for path, command, parent in _walk(program.group(), program.name, None):
            if path != program.name:
                parts.append(f"\n{'#' * min(path.count(' ') + 2, 4)} {path}\n")
            parts.append(f"\n```text\n{_help(command, path, parent)}\n```\n")
    return "".join(parts)


def _walk(
    command: click.Command, path: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context | None]]:
    yield path, command, parent
    if isinstance(command, click.Group):
        with _context(command, path, parent) as context:
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                if child is not None and not child.hidden:
                    yield from _walk(child, f"{path} {name}", context)


def _context(command: click.Command, path: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    name = path if parent is None else path.rsplit(" ", 1)[1]
    return command.context_class(command, info_name=name, parent=parent, **settings)


def _help(command: click.Command, path: str, parent: click.Context | None) -> str:
    with _context(command, path, parent) as context:
        return command.get_help(context).rstrip()
