"""Items used once per round, with a separate order in each round."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def in_rounds(items: Sequence[T], first: int, count: int, seed: int) -> list[T]:
    """Take `count` items of endless rounds, from the `first` on.

    Args:
        items: at least one.
        first: how many were taken before.
        count: how many to take.
        seed: of the orders.

    Examples:
        >>> sorted(in_rounds("abc", 0, 3, seed=1)), in_rounds("abc", 1, 2, seed=1)
        (['a', 'b', 'c'], ['b', 'c'])
    """
    shown: list[T] = []
    number, place = divmod(first, len(items))
    while len(shown) < count:
        order = list(items)
        random.Random(f"{seed}/{number}").shuffle(order)
        shown += order[place : place + count - len(shown)]
        number, place = number + 1, 0
    return shown
