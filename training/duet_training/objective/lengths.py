"""Which of the large model's tokens count as |z|: one choice, made here.

`response` is the released code's: every token that M produced, its own answer after the reasoning,
the end-of-reasoning token and the end-of-text token included. `signal` counts what m reads, which
is what the device pays for once serving stops M at the end of its reasoning.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Counted(StrEnum):
    """Which tokens are |z|."""

    RESPONSE = "response"
    SIGNAL = "signal"


def signal_lengths(
    responses: Sequence[Sequence[int]], signals: Sequence[Sequence[int]], counted: Counted
) -> NDArray[np.float64]:
    """|z| in tokens for each response of M and the signal cut out of it, (N,)."""
    chosen = responses if counted is Counted.RESPONSE else signals
    return np.array([len(ids) for ids in chosen], dtype=np.float64)
