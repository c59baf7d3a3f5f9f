"""Read the references of data files, worked solutions that end in "#### 72" among them."""

import math
import re

_LAST_LINE = re.compile(r"(?:\A|\n)####(?!#)([^\n]*+)\Z")


def after_hashes(solution: str) -> str | None:
    r"""Return the text after the "####" that begins the last line.

    Returns:
        The text, stripped, which may be empty; None if the last line does not begin so.

    Examples:
        >>> after_hashes("48/2 = 24 clips.\n#### 24")
        '24'
        >>> after_hashes("24 clips") is None
        True
    """
    # The pattern would try each of many trailing line breaks in turn.
    found = _LAST_LINE.search(solution.rstrip())
    return found[1].strip() if found else None


def final_line(solution: str) -> str:
    r"""Return the text after a last "####", or the whole text without one; stripped.

    Examples:
        >>> final_line("24 clips.\n#### 1,024")
        '1,024'
        >>> final_line(" 24 ")
        '24'
    """
    found = after_hashes(solution)
    return solution.strip() if found is None else found


def reference_text(answer: object) -> str:
    r"""Return the reference that a row of a JSON file gives as its answer.

    Args:
        answer: text, a worked solution as GSM8K writes them, a number, or None.

    Returns:
        The reference; "" for None.

    Raises:
        ValueError: it is anything else, such as `false` or a list, or a number that is not finite.

    Examples:
        >>> reference_text(0), reference_text("2+2 = 4\n#### 4"), reference_text(None)
        ('0', '4', '')
    """
    if isinstance(answer, bool) or not isinstance(answer, str | int | float | None):
        raise ValueError("'answer' is neither text nor a number")
    if isinstance(answer, float) and not math.isfinite(answer):
        raise ValueError("'answer' is not a finite number")
    return "" if answer is None else final_line(str(answer))
