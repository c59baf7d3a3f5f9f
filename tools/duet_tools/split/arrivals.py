"""When questions are asked where they come at a rate: evenly, or as a Poisson process."""

import random
from typing import Literal


def offsets(
    count: int, rate: float, spread: Literal["constant", "poisson"], seed: int
) -> list[float]:
    """Return seconds from the start to each of `count` questions; the same for the same seed."""
    if spread == "constant":
        return [number / rate for number in range(count)]
    draw = random.Random(seed)
    at, found = 0.0, []
    for _ in range(count):
        found.append(at)
        at += draw.expovariate(rate)
    return found
