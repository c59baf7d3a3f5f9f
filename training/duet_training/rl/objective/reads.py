"""What the decoder reads of a signal in training: one choice, made here.

`whole` is the released code's. `prefix` cuts each answer's signal at a random token, so that the
reward is the mean over prefixes and a signal pays off wherever it is cut (as RLTR, arXiv
2602.08489). `withheld` hides the result of the last computation, so that the decoder has to
compute it. Validation and evaluation read whole signals.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

# A number behind an equals sign, in a box or with a currency sign before it.
_RESULT = re.compile(r"=(?:\\(?:boxed|text|mathbf)\{|[$€£]|\\\$|\s)*(-?\d[\d,]*(?:\.\d+)?)")


class Read(StrEnum):
    """Which part of a signal the decoder reads."""

    WHOLE = "whole"
    PREFIX = "prefix"
    WITHHELD = "withheld"


def prefix_lengths(lengths: Sequence[int], answers: int, seed: Sequence[int]) -> NDArray[np.int64]:
    """Draw how many tokens (N, A) each of A answers reads of its signal, uniform on 0 to all of them.

    The same seed gives the same cuts of signals of these `lengths`, (N,).
    """
    longest = np.repeat(np.asarray(lengths, dtype=np.int64)[:, None], answers, axis=1)
    return np.random.default_rng(list(seed)).integers(0, longest, endpoint=True)


def without_last_result(text: str) -> str:
    """Cut a signal's text before the result of its last computation.

    The last number behind an equals sign is the result. The text ends at the first equation that
    states it, since everything after that may repeat it.

    Returns:
        The text up to an equals sign; all of it if no number follows one.

    Examples:
        >>> without_last_result("3*4=12. 12+5=17. So 17.")
        '3*4=12. 12+5='
        >>> without_last_result("12+5=17. We check: 12+5=17.")
        '12+5='
        >>> without_last_result("seventeen")
        'seventeen'
    """
    found = list(_RESULT.finditer(text))
    if not found:
        return text
    results = [each[1].replace(",", "") for each in found]
    return text[: found[results.index(results[-1])].start() + 1]
