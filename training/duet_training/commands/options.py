"""Options that several commands share, and commands that resume."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import click

from duet_contract.commands import Integer, Number, option
from duet_training.errors import Interrupted

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
TOKENS = Integer(1, 1 << 24)
COUNT = Integer(1, 100_000_000)
MINUTES = Number(0, 1e6)
SPLIT = click.Choice(("train", "validation", "test"))


class Resumable(click.Command):
    """A command that continues when it is called again."""

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Command`.

        Raises:
            Interrupted: Ctrl-C or SIGTERM.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted; the same command continues") from error


def settings(*names: str) -> Callable[[F], F]:
    """KEY=VALUE arguments of a command, and `--settings`, which lists them.

    Args:
        names: settings files in `duet_training.settings.conf`; the first one overrides the others.
    """

    def show(context: click.Context, _option: click.Parameter, asked: bool) -> None:
        if asked and not context.resilient_parsing:
            conf = files("duet_training.settings.conf")
            texts = (conf.joinpath(f"{name}.yaml").read_text("utf-8") for name in names)
            click.echo("\n".join(texts).rstrip())
            context.exit()

    def add(function: F) -> F:
        show_settings = click.option(
            "--settings",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            allow_from_autoenv=False,
            callback=show,
            help="List the settings with their defaults and exit.",
        )
        return show_settings(
            click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")(function)
        )

    return add


def seed(what: str) -> Callable[[F], F]:
    """`--seed`."""
    return option("--seed", Integer(0, 2**31), "N", f"Seed of {what}.", 0)


serving_python = option(
    "--serving-python", PATH, "FILE", "Python interpreter that has vLLM.", required=True
)
