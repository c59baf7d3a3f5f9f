"""Command lines by argparse: types of numbers, defaults in the help, errors of one line."""

import argparse
import math
from collections.abc import Callable
from typing import Any, NoReturn

from duet_cloud.errors import Exit
from duet_contract.terminal import one_line

# Far above what any option needs.
_MOST_COUNT = 1_000_000


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, **settings)

    def error(self, message: str) -> NoReturn:
        """See argparse.ArgumentParser."""
        name = self.prog.removeprefix("python -m ")
        self.exit(Exit.USAGE, f"{name}: {one_line(message)}; see: {self.prog} --help\n")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Says defaults, where there is one to say."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


def number(least: float, most: float) -> Callable[[str], float]:
    """An option's type: a finite number in a range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text[:20]!r} is not a number from {least:g} to {most:,.0f}"
            )
        return value

    return parse


def whole(least: int, most: int = _MOST_COUNT) -> Callable[[str], int]:
    """An option's type: a whole number in a range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text[:20]!r} is not a whole number from {least} to {most}"
            )
        return value

    return parse
