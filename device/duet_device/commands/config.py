"""`duet-device config`: settings that stay."""

import os
from typing import TYPE_CHECKING

import click

from duet_device import config as file
from duet_device.commands.options import PREFIX, convert, note_source, storable, values_of
from duet_device.commands.output import note, show, show_path
from duet_device.errors import UsageProblem
from duet_device.identity.credentials import parse_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group()
def config() -> None:
    """Show and change the settings of ask, in a commented TOML file.

    An option overrides an environment variable, which overrides the file, which overrides the
    default.
    """


@config.command(short_help="Print the path of the file.")
def path() -> None:
    """Print the path of the file, which may not exist."""
    show_path(file.config_path())


@config.command(short_help="Print the value of a setting.")
@click.argument("name")
@click.pass_context
def get(context: click.Context, name: str) -> None:
    """Print the value of NAME; an empty line if it has none."""
    value = effective(context).params[str(_option(context, name).name)]
    show(str(value).lower() if isinstance(value, bool) else "" if value is None else str(value))


@config.command("set", short_help="Set a setting in the file.")
@click.argument("name")
@click.argument("value", required=False)
@click.pass_context
def set_(context: click.Context, name: str, value: str | None) -> None:
    """Set NAME to VALUE in the file; without VALUE, return to the default."""
    option = _option(context, name)
    try:
        taken = None if value is None else convert(option, value)
    except click.UsageError as error:
        raise UsageProblem(f"{name}: {error.message}") from error
    if name == "server" and value is not None:
        # Reported here rather than by each question.
        parse_addresses(value)
    # A path stays as it was typed.
    stored = taken if taken is None or isinstance(taken, bool | int | float) else value
    file.store({name: stored}, template(_ask(context)))
    if option.value_from_envvar(context) is not None:
        note(f"{variable(name)} is set, and overrides the file")


@config.command(short_help="Open the file in an editor.")
@click.pass_context
def edit(context: click.Context) -> None:
    """Open the file in $VISUAL or $EDITOR, then check it."""
    command = _ask(context)
    if not file.read():
        file.write(template(command))
    click.edit(filename=str(file.config_path()))
    settings = file.load()
    values_of(command, settings)
    _note_unknown(command, settings)


@config.command("show", short_help="Print each setting and its source.")
@click.pass_context
def show_(context: click.Context) -> None:
    """Print each setting with its value and what sets it, as TOML."""
    command = _ask(context)
    found = effective(context)
    source = note_source(found)
    rows = []
    for name, option in storable(command).items():
        value = found.params[str(option.name)]
        line = f"# {name} =" if value is None else f"{name} = {file.toml(_plain(value))}"
        by = source(str(option.name))
        rows.append((line, variable(name) if by == "environment" else by))
    width = max(len(line) for line, _ in rows)
    show(f"# {file.config_path()}")
    show("\n".join(f"{line.ljust(width)}  # {by}" for line, by in rows))
    _note_unknown(command, file.load())


def template(command: click.Command) -> str:
    """Return a new file: each setting of a command, commented out, with its help."""
    parts = [
        "# Settings of duet-device. An option or an environment variable overrides a line here.\n"
        "# duet-device config show prints what holds.\n"
    ]
    for name, option in storable(command).items():
        default = option.default if isinstance(option.default, bool | int | float | str) else None
        value = "" if default is None else file.toml(default)
        parts.append(f"\n# {option.help} ({variable(name)})\n# {name} = {value}".rstrip() + "\n")
    return "".join(parts)


def remember(context: click.Context, **settings: str) -> bool:
    """Set settings that are set nowhere; return whether one was set."""
    held = file.load()
    new = {
        name: value
        for name, value in settings.items()
        if name not in held and variable(name) not in os.environ
    }
    if new:
        file.store(new, template(_ask(context)))
    return bool(new)


def effective(context: click.Context) -> click.Context:
    """Return a context of `ask` without options."""
    return _ask(context).make_context("ask", [], parent=context.find_root())


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}_{name}".replace("-", "_").upper()


def _ask(context: click.Context) -> click.Command:
    """Return the command whose options are the settings."""
    root = context.find_root()
    assert isinstance(root.command, click.Group)
    found = root.command.get_command(root, "ask")
    assert found
    return found


def _option(context: click.Context, name: str) -> click.Option:
    options = storable(_ask(context))
    if name not in options:
        raise UsageProblem(f"there is no setting {name!r}; see: duet-device config show")
    return options[name]


def _note_unknown(command: click.Command, settings: "Mapping[str, object]") -> None:
    for name in settings.keys() - storable(command).keys():
        note(f"{file.config_path()} sets {name!r}, which duet-device ask does not know")


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | str) else str(value)
