r"""Equality of expressions by math-verify, where it is installed.

It may not terminate, and its own time limits need the main thread: call `equal` in a process that
can be stopped. Its grading is not symmetric: the reference comes first.
"""

import importlib.util
import logging

_CLOSE = 1e-9
"""Relative; math-verify rounds to six decimals, where all small numbers are one."""


def available() -> bool:
    """Return whether math-verify is installed (`pip install "math-verify[antlr4_9_3]"`)."""
    return importlib.util.find_spec("math_verify") is not None


def prepare() -> None:
    """Import math-verify before the first call's clock starts, and silence its warnings."""
    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    equal("x", "x+1-1")


def equal(reference: str, given: str) -> bool:
    r"""Return whether an answer equals the reference as mathematics.

    Args:
        reference: LaTeX.
        given: the answer's LaTeX.

    Raises:
        ImportError: math-verify is not installed.
        Exception: whatever sympy raises on malformed input.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    # LaTeX only: the other extractor finds numbers inside LaTeX that failed to parse.
    config = [LatexExtractionConfig()]
    gold, found = (
        parse(rf"\boxed{{{text}}}", extraction_config=config, parsing_timeout=None)
        for text in (reference, given)
    )
    return bool(verify(gold, found, timeout_seconds=None)) and not _apart(gold, found)


def _apart(gold: list[object], found: list[object]) -> bool:
    """Return whether both are numbers, and differ by more than rounding."""
    import sympy

    numbers = [
        next((each for each in side if isinstance(each, sympy.Expr) and each.is_number), None)
        for side in (gold, found)
    ]
    if None in numbers:
        return False
    one, other = (sympy.N(each, 30) for each in numbers)
    return bool(abs(one - other) > _CLOSE * abs(one))
