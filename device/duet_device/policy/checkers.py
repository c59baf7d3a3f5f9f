"""Checks of an answer that the device makes itself, without any model.

A checker is a function that other distributions can add: an entry point of the group
`duet.checkers` that takes an `Answered` and yields a `Check` for each thing that it looked at.
"""

import logging
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import entry_points

from duet_device.policy.arithmetic import check_arithmetic
from duet_device.policy.check import Answered, Check

log = logging.getLogger("duet_device")

GROUP = "duet.checkers"
"""Group of entry points."""
Checker = Callable[[Answered], Iterable[Check]]


def check(answered: Answered, *, computed: bool = False) -> tuple[Check, ...]:
    """Return what every checker says; one that fails says nothing.

    Args:
        answered: the answer.
        computed: whether the device computed it from a formula, whose arithmetic then holds.

    Examples:
        >>> asked = "Ann has 3 bags of 4 apples. How many?"
        >>> [found.doubt for found in check(Answered(asked, "3*4=13", True, "13")) if not found.holds]
        ['3*4=13 does not hold']
    """
    found: list[Check] = []
    for name, checker in checkers().items():
        if computed and checker is check_arithmetic:
            continue
        try:
            found += checker(answered)
        except Exception as error:  # Others' code; an answer is not lost for it.
            log.warning(f"checker {name} failed: {type(error).__name__}: {error}")
    return tuple(found)


@cache
def checkers() -> dict[str, Checker]:
    """Return the checkers by name: the one for arithmetic, and those that are installed.

    Examples:
        >>> "arithmetic" in checkers()
        True
    """
    found: dict[str, Checker] = {"arithmetic": check_arithmetic}
    for entry in entry_points(group=GROUP):
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # Others' code again.
            log.warning(f"checker {entry.name} cannot be loaded: {type(error).__name__}: {error}")
    return found
