"""Settings of a question as options, and what sets them: command line, environment, file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from duet_contract.commands import FieldOption, Integer, Number
from duet_contract.sampling import MOST_SEED, TEMPERATURE_RULE, valid_temperature
from duet_device.ask_request import AskRequest
from duet_device.commands.output import note
from duet_device.setting_types import (
    CHOICES,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_ROUNDS,
    DEFAULT_ROUTE,
    DEFAULT_SERVER,
    DEFAULT_STOP,
    DEFAULT_TIMEOUT,
    MOST_ROUNDS,
    MOST_TIMEOUT,
    MOST_TOKENS,
    STOPS,
    ClientSettings,
    question_settings,
)

if TYPE_CHECKING:
    from duet_device.privacy.words import Word

PREFIX = "DUET"


class Temperature(click.types.FloatParamType):
    """A sampling temperature that decoder and cloud take as it is."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        number: float = super().convert(value, param, ctx)
        if not valid_temperature(number):
            self.fail(f"{value!r}: {TEMPERATURE_RULE}", param, ctx)
        return number


# Classes whose fields the options fill.
_SETTINGS = "duet_device.settings:Settings"
_REQUEST = "duet_device.commands.options:RequestOptions"

SETTINGS = (
    FieldOption(_SETTINGS, ["--server"], default=DEFAULT_SERVER, metavar="HOST[:PORT],..."),
    click.Option(
        ["--pair", "pair_name"],
        metavar="NAME_OR_DIR",
        help="Pair to use [the only installed one].",
    ),
    FieldOption(_SETTINGS, ["--budget"], type=Integer(1, MOST_TOKENS), metavar="N"),
    FieldOption(_SETTINGS, ["--chunk-tokens"], type=Integer(1, MOST_TOKENS), metavar="N"),
    FieldOption(
        _SETTINGS,
        ["--timeout"],
        type=Number(0, MOST_TIMEOUT, min_open=True),
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
    ),
    FieldOption(
        _SETTINGS,
        ["--connect-timeout"],
        type=Number(0, MOST_TIMEOUT, min_open=True),
        default=DEFAULT_CONNECT_TIMEOUT,
        metavar="SECONDS",
    ),
    FieldOption(_SETTINGS, ["--temperature"], type=Temperature(), metavar="T"),
    FieldOption(_SETTINGS, ["--seed"], type=Integer(0, MOST_SEED), metavar="N"),
    FieldOption(_SETTINGS, ["--route"], type=click.Choice(CHOICES), default=DEFAULT_ROUTE),
    FieldOption(_SETTINGS, ["--force"], is_flag=True, allow_from_autoenv=False),
    FieldOption(_SETTINGS, ["--device-only"], is_flag=True),
    FieldOption(_SETTINGS, ["--require-cloud"], is_flag=True),
    FieldOption(_SETTINGS, ["--threads"], type=Integer(1, 512), metavar="N"),
    FieldOption(_SETTINGS, ["--stop"], type=click.Choice(STOPS), default=DEFAULT_STOP),
    FieldOption(
        _SETTINGS, ["--rounds"], type=Integer(1, MOST_ROUNDS), default=DEFAULT_ROUNDS, metavar="N"
    ),
    FieldOption(_SETTINGS, ["--prompt-lookup/--no-prompt-lookup"], default=True),
)
"""The settings of `duet_device.settings.Settings` and the pair, for each command that asks."""


ALLOW_UNSIGNED = FieldOption(_REQUEST, ["--allow-unsigned"], is_flag=True)
FIRST_USE = (
    ALLOW_UNSIGNED,
    click.Option(
        ["--yes"],
        is_flag=True,
        allow_from_autoenv=False,
        help="Fetch a missing pair and trust its publisher without asking.",
    ),
)
"""For each command that fetches a missing pair."""
REDACTION = (
    FieldOption(_REQUEST, ["--redact"], is_flag=True),
    FieldOption(_REQUEST, ["--redact-words"], type=click.Path(path_type=Path), metavar="FILE"),
    FieldOption(_REQUEST, ["--redact-numbers"], is_flag=True),
)
ANSWER = (
    click.Option(["--show-signal"], is_flag=True, help="Show the cloud's signal on stderr."),
    FieldOption(_REQUEST, ["--no-log"], is_flag=True),
    click.Option(["--quiet"], is_flag=True, help="Print no receipt line on stderr."),
    click.Option(["-v", "--verbose"], is_flag=True, help="Show the complete cost on stderr."),
)
"""What becomes of an answer."""


def settings_named(*names: str) -> list[click.Option]:
    """Return some of `SETTINGS`, by the names of their parameters."""
    return [option for option in SETTINGS if option.name in names]


class RequestOptions(ClientSettings, total=False):
    """What a command is given of a request: settings, redaction, and what becomes of the answer."""

    allow_unsigned: bool
    """Load a pair without a trusted signature, if no publisher is pinned."""
    redact: bool
    """Replace names, addresses, phone numbers and the like in what is sent."""
    redact_words: Path | None
    """Also redact the lines of FILE: PHRASE or "PHRASE = LABEL", implying --redact. None: there is no file."""
    redact_numbers: bool
    """Also redact numbers, implying --redact; the cloud cannot compute with them."""
    no_log: bool
    """Do not store this answer (see duet-device logs)."""


def request_of(pair: str | None, options: RequestOptions) -> AskRequest:
    """Return the request of a command's options, without a question.

    Raises:
        UsageProblem: the file of `redact_words` cannot be used.
    """
    words: list[Word] = []
    file = options.get("redact_words")
    if file:
        from duet_device.privacy.words import read_words

        words = read_words(file)
    if options["allow_unsigned"]:
        note("--allow-unsigned: the signer of this pair is not verified")
    return AskRequest(
        "",
        pair,
        options["server"],
        question_settings(options),
        threads=options["threads"],
        allow_unsigned=options["allow_unsigned"],
        redact=options.get("redact", False) or file is not None,
        redact_words=tuple((word.text, word.label) for word in words),
        redact_numbers=options.get("redact_numbers", False),
        store=not options.get("no_log", False),
    )


class ConfiguredCommand(click.Command):
    """Takes its options from the configuration file where neither line nor environment sets them.

    Its environment variables are DUET_OPTION, not DUET_COMMAND_OPTION.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        settings["context_settings"] = {"auto_envvar_prefix": PREFIX}
        super().__init__(*arguments, **settings)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """See `click.Command`."""
        if not extra.get("resilient_parsing"):
            from duet_device.config import load

            extra["default_map"] = values_of(self, load())
        return super().make_context(info_name, args, parent, **extra)


def storable(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command that a file may set, by their names there."""
    return {
        max(option.opts, key=len).lstrip("-"): option
        for option in command.params
        if isinstance(option, click.Option) and option.allow_from_autoenv and not option.multiple
    }


def values_of(command: click.Command, settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings of a file by the names of a command's parameters, those of others left out.

    Raises:
        UsageProblem: a value is not one that the option takes.
    """
    from duet_device.config import problem

    values = {}
    for name, option in storable(command).items():
        if name in settings:
            try:
                values[str(option.name)] = convert(option, settings[name])
            except click.UsageError as error:
                raise problem(f"{name}: {error.message}") from error
    return values


def convert(option: click.Option, value: object) -> object:
    """Return a value as an option takes it.

    Raises:
        click.UsageError: the option does not take it.
    """
    wrong = click.BadParameter(f"{value!r} is not a value of {max(option.opts, key=len)}.")
    # A file has types that a command line lacks: 1.5 is not an integer, and 5 or a date not a name.
    kinds = _kinds(option)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise wrong
    try:
        return option.type.convert(value, option, None)
    except (OverflowError, ValueError):
        # An integer beyond any float, or a path with a NUL.
        raise wrong from None


def _kinds(option: click.Option) -> tuple[type, ...]:
    """Return the types that a file may give an option's value."""
    if option.is_flag:
        return (str, bool)
    if isinstance(option.type, click.types.FloatParamType):
        return (str, int, float)
    return (str, int) if isinstance(option.type, click.types.IntParamType) else (str,)


def note_source(context: click.Context) -> Callable[[str], str]:
    """Return a function that says what set a parameter of `context`, in words."""
    from click.core import ParameterSource

    words = {
        ParameterSource.COMMANDLINE: "option",
        ParameterSource.ENVIRONMENT: "environment",
        ParameterSource.DEFAULT_MAP: "file",
    }

    def source(name: str) -> str:
        found = context.get_parameter_source(name)
        return words.get(found, "default") if found else "default"

    return source
