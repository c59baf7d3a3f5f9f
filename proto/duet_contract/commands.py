"""The command line that every package shares, on click: lazy groups, numbers, errors, completion.

A package describes its commands with a `Program` and runs them with `Program.run` inside
`duet_contract.console.run`, so that each command ends with one line and an exit code.
"""

import importlib
import math
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from duet_contract.console import (
    EXIT_INTERRUPTED,
    EXIT_OUTPUT_CLOSED,
    OutputClosed,
    OutputLost,
    signals_go_to,
    was_interrupted,
)
from duet_contract.docstrings import field_docstrings, option_help
from duet_contract.errors import ContractError
from duet_contract.terminal import one_line, printable_json

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

EXIT_USAGE = 2
SHELLS = ("bash", "zsh", "fish")

Lazy = Mapping[str, tuple[str, str]]
"""Subcommands by name: (`"module:attribute"` of a `click.Command`, short help)."""

F = TypeVar("F", bound=Callable[..., Any])

# Characters of an error of usage.
_LONGEST = 200
# How Python, the dynamic linker and the C library report it; none of them has a type for it.
_NO_MEMORY = ("can't start new thread", "failed to map segment", "Cannot allocate memory")


class Number(click.FloatRange):
    """A finite number in a range. click accepts "nan", and "inf" where a bound is missing.

    Examples:
        >>> Number(0, 2).convert("0.5", None, None)
        0.5
        >>> Number().convert("nan", None, None)
        Traceback (most recent call last):
        click.exceptions.BadParameter: 'nan' is not a finite number.
    """

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            bounded = self.min is not None or self.max is not None
            where = f" in the range {self._describe_range()}" if bounded else ""
            self.fail(f"{value!r} is not a finite number{where}.", param, ctx)
        return number

    def _describe_range(self) -> str:
        return describe_range(self)


class Integer(click.IntRange):
    """An integer in a range.

    Examples:
        >>> Integer(1, 16).convert("20", None, None)
        Traceback (most recent call last):
        click.exceptions.BadParameter: 20 is not in the range from 1 to 16.
    """

    name = "integer"

    def _describe_range(self) -> str:
        return describe_range(self)


def option(
    name: str,
    kind: Any,
    metavar: str | None,
    help: str,  # noqa: A002 (click's name)
    default: Any = None,
    *,
    to: str | None = None,
    **more: Any,
) -> Callable[[F], F]:
    """Return `click.option`, with what nearly every option has in one line.

    Args:
        name: as it is typed, such as `--size`.
        kind: its type; None: text.
        metavar: what its value is called in the help.
        help: one line.
        default: its value if it is not given; None: none.
        to: the parameter that gets its value [its name].
        more: other arguments of `click.option`.
    """
    given = more if default is None else {"default": default, **more}
    names = (name, to) if to else (name,)
    return click.option(*names, type=kind, metavar=metavar, help=help, **given)


class FieldOption(click.Option):
    """An option that fills a field, whose docstring is its help (`option_help`).

    The source of the field's class is read when the help is shown.

    Args:
        owner: class of the field, as `"module:Class"`.
        declarations: names of the option, as of `click.Option`.
        field: name of the field [that of the parameter].
        settings: see `click.Option`.

    Examples:
        >>> option = FieldOption("duet_contract.receipt:Bytes", ["--up"])
        >>> option.help
        'Bytes from the device to the cloud.'
    """

    def __init__(
        self, owner: str, declarations: Sequence[str], *, field: str = "", **settings: Any
    ) -> None:
        super().__init__(declarations, **settings)
        self._owner = owner
        self._field = field or str(self.name)
        # Set by click; what follows computes it.
        del self.help

    @cached_property
    def help(self) -> str:  # type: ignore[override]
        """The first sentence of the field's docstring, and whether the option may be repeated."""
        module, _, name = self._owner.partition(":")
        owner: type = getattr(importlib.import_module(module), name)
        text = option_help(field_docstrings(owner)[self._field])
        return f"{text} Repeatable." if self.multiple else text


def field_option(
    owner: str,
    name: str,
    kind: Any = None,
    metavar: str | None = None,
    default: Any = None,
    *,
    to: str | None = None,
    **more: Any,
) -> Callable[[F], F]:
    """Return `option` for a `FieldOption`.

    Args:
        owner: class of the field, as `"module:Class"`.
        name: see `option`, also for the other arguments.
        kind: its type; None: text.
        metavar: what its value is called in the help.
        default: its value if it is not given; None: none.
        to: the parameter that gets its value [its name].
        more: other arguments of `FieldOption`.
    """
    cls = partial(FieldOption, owner)
    return option(name, kind, metavar, "", default, to=to, cls=cls, **more)


def describe_range(kind: click.IntRange | click.FloatRange) -> str:
    """Return the range of an option in words that follow "the range", for its help and its error.

    Examples:
        >>> describe_range(Number(0, 31536000, min_open=True)), describe_range(Integer(1))
        ('above 0, up to 31,536,000', 'from 1')
        >>> describe_range(Number(max=2, max_open=True)), describe_range(Integer(0, 65535))
        ('below 2', 'from 0 to 65,535')
    """
    low, high = (None if bound is None else f"{bound:,.15g}" for bound in (kind.min, kind.max))
    start = low and f"{'above' if kind.min_open else 'from'} {low}"
    end = high and f"{'below' if kind.max_open else 'up to'} {high}"
    if low and high and not (kind.min_open or kind.max_open):
        return f"from {low} to {high}"
    return ", ".join(filter(None, (start, end)))


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they run.

    `--help` and shell completion show the short helps and import nothing.

    Args:
        lazy: the subcommands, in the order of the help.
        settings: see `click.Group`.
    """

    def __init__(self, *, lazy: Lazy, **settings: Any) -> None:
        super().__init__(**settings)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See `click.Group`."""
        return [*self.lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None if no subcommand has that name."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        target, short_help = self.lazy[cmd_name]
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        command.short_help = short_help
        own_prefix = command.context_settings.get("auto_envvar_prefix")
        if prefix := own_prefix or _variable(ctx.auto_envvar_prefix, cmd_name):
            _name_variables(command, prefix)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group`; `help [COMMAND]` is `[COMMAND] --help`."""
        if args[0] == "help":
            args = [*args[1:], "--help"]
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            # click looks among the commands that are not lazy.
            names = self.list_commands(ctx)
            raise click.NoSuchCommand(error.command_name, possibilities=names, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Group`."""
        with formatter.section("Commands"):
            formatter.write_dl(self._short_helps())

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """See `click.Group`."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=short_help)
            for name, short_help in self._short_helps()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def _short_helps(self) -> list[tuple[str, str]]:
        own = {name: command.short_help or "" for name, command in self.commands.items()}
        return [*((name, text) for name, (_, text) in self.lazy.items()), *own.items()]


class Program(NamedTuple):
    """An installed command: its subcommands, and how its errors end.

    Examples:
        >>> program = Program("duet-example", "duet-contract", "Show an example.", {})
        >>> program.run(["--bogus"])
        2
    """

    name: str
    """Name of the console script; also the prefix of its environment variables."""
    distribution: str
    """Name of the distribution whose version `--version` prints."""
    help: str
    """Help of the whole command."""
    commands: Lazy
    """Subcommands; `completion` is added."""
    epilog: str = ""
    """Text at the end of the help."""
    environment: str = ""
    """Prefix of environment variables that set options. Empty: derived from the name."""
    errors: tuple[type[Exception], ...] = ()
    """Exceptions that end with their message and their `exit_code` (1 where they have none)."""
    contract_code: int = 1
    """Exit code after a `ContractError`."""
    output_code: int = 1
    """Exit code when stdout cannot take the output."""
    memory_code: int = 1
    """Exit code when memory or threads run out."""

    def group(self) -> LazyGroup:
        """Build the click group."""
        prefix = self.environment or self.name.replace("-", "_").upper()
        group = LazyGroup(
            name=self.name,
            lazy=self.commands,
            help=self.help,
            epilog=self.epilog
            or f"Options can also be set by environment variables, named {prefix}_COMMAND_OPTION.",
            context_settings={
                "auto_envvar_prefix": prefix,
                "help_option_names": ["-h", "--help"],
                "show_default": True,
            },
            params=[_version_option(self.distribution)],
        )
        group.add_command(_completion(group, self.name))
        return group

    def run(self, arguments: Sequence[str] | None = None, obj: object = None) -> int:
        """Run a command line and return its exit code. Call it inside `console.run`.

        SIGTERM ends a command as Ctrl-C does, unless it handles the signal itself: it restores the
        terminal that it draws on or reads a passphrase from, and ends its child processes.

        Args:
            arguments: the command line; None: the process's own.
            obj: `click.Context.obj` of the command.

        An error is one line on stderr; with `--json`, it is one object on stdout (`error_data`).

        Returns:
            What the command returns (0 for None), 2 for an error of usage, or the exit code of
            the error that ended it.
        """
        given = sys.argv[1:] if arguments is None else arguments
        # Of the words, since an option that does not exist ends the parsing before it has a result.
        as_json = "--json" in takewhile(lambda word: word != "--", given)

        def fail(kind: str, message: str, code: int) -> int:
            if as_json:
                with suppress(OutputLost):
                    sys.stdout.write(printable_json(error_data(kind, code, message)) + "\n")
                    sys.stdout.flush()
                    return code
            sys.stderr.write(f"{self.name}: {one_line(message)}\n")
            return code

        try:
            with signals_go_to(signal.default_int_handler, signal.SIGTERM):
                code = self.group().main(
                    arguments, prog_name=self.name, standalone_mode=False, obj=obj
                )
                sys.stdout.flush()
            return code if isinstance(code, int) else 0
        except OutputClosed:
            raise
        except OutputLost as error:
            sys.stderr.write(f"{self.name}: {one_line(str(error))}\n")
            return self.output_code
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return EXIT_USAGE
        except click.ClickException as error:
            return fail("UsageError", _usage(error), EXIT_USAGE)
        except click.Abort:
            raise KeyboardInterrupt from None
        except self.errors as error:
            code = int(getattr(error, "exit_code", 1))
            if code != EXIT_INTERRUPTED and was_interrupted(error):
                return fail("Interrupted", "interrupted", EXIT_INTERRUPTED)
            kind = type(error).__name__
            return code if code == EXIT_OUTPUT_CLOSED else fail(kind, str(error) or kind, code)
        except ContractError as error:
            if was_interrupted(error):
                return fail("Interrupted", "interrupted", EXIT_INTERRUPTED)
            return fail(type(error).__name__, str(error), self.contract_code)
        except (MemoryError, RuntimeError, ImportError, OSError) as error:
            if was_interrupted(error) or not _out_of_memory(error):
                raise
            message = "out of memory or threads: end other programs, or raise the limit (ulimit -a)"
            return fail("MemoryError", message, self.memory_code)


def error_data(kind: str, code: int, message: str) -> dict[str, object]:
    """Return an error as the object that `--json` prints.

    Args:
        kind: name of the error's class.
        code: exit code of the command.
        message: what failed, why, and what to do next.

    Examples:
        >>> error_data("UsageError", 2, "the question is empty")
        {'error': {'type': 'UsageError', 'exit_code': 2, 'message': 'the question is empty'}}
    """
    return {"error": {"type": kind, "exit_code": code, "message": message}}


def _version_option(distribution: str) -> click.Option:
    def show(context: click.Context, _option: click.Parameter, asked: bool) -> None:
        if not asked or context.resilient_parsing:
            return
        # Imported here: it takes a third of the time that --help may take.
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version(distribution)
        except PackageNotFoundError:
            raise ContractError(
                f"the version is unknown: {distribution} runs from a checkout and is not installed"
            ) from None
        click.echo(f"{context.find_root().info_name} {found}")
        context.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        allow_from_autoenv=False,
        callback=show,
        help="Show the version and exit.",
    )


def _completion(group: click.Group, name: str) -> click.Command:
    where = {
        "bash": "~/.bashrc",
        "zsh": "~/.zshrc",
        "fish": f"~/.config/fish/completions/{name}.fish",
    }

    @click.command(
        short_help="Print the shell completion script.",
        epilog="\b\nTo install:\n"
        + "\n".join(f"  {name} completion {shell} >> {where[shell]}" for shell in SHELLS),
    )
    @click.argument("shell", type=click.Choice(SHELLS))
    def completion(shell: str) -> None:
        """Print the script that completes this command in SHELL."""
        from click.shell_completion import get_completion_class

        kind = get_completion_class(shell)
        assert kind, shell
        click.echo(kind(group, {}, name, f"_{name}_COMPLETE".replace("-", "_").upper()).source())

    return completion


def _variable(prefix: str | None, name: str) -> str | None:
    """Return the environment variable of an option, or the prefix of a command's."""
    return f"{prefix}_{name}".replace("-", "_").upper() if prefix else None


def _name_variables(command: click.Command, prefix: str) -> None:
    """Name each option's environment variable after its flag; click would take the parameter."""
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        if option.envvar is None and option.allow_from_autoenv:
            option.envvar = _variable(prefix, max(option.opts, key=len).lstrip("-"))
        if option.default == "":
            option.show_default = False
    if isinstance(command, click.Group):
        for name, subcommand in command.commands.items():
            _name_variables(subcommand, f"{prefix}_{name}".upper())


def _usage(error: click.ClickException) -> str:
    """Return what is wrong with a command line, and the command that shows what is right."""
    message = error.format_message().rstrip(".") + _source(error)
    if len(message) > _LONGEST:
        # It quotes a value that may be of any length.
        message = f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    see = " See" if message.endswith("?") else "; see"
    return f"{message}{see}: {context.command_path} --help" if context else message


def _source(error: click.ClickException) -> str:
    """Return " (environment variable X)" where the wrong value of an option is from one."""
    if not isinstance(error, click.BadParameter) or not isinstance(error.param, click.Option):
        return ""
    option, context = error.param, error.ctx
    source = context.get_parameter_source(option.name or "") if context else None
    if source is not click.core.ParameterSource.ENVIRONMENT:
        return ""
    return f" (environment variable {option.envvar})"


def _out_of_memory(error: BaseException | None) -> bool:
    """Return whether a lack of memory or threads is behind an error, such as that of an import."""
    while error is not None:
        if isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False
