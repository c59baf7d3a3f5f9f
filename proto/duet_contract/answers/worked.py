"""Finds the final answer of a worked solution that ends in "#### 72", as GSM8K writes them."""

import re

_LAST_LINE = re.compile(r"(?:\A|\n)####[ \t]*([^#\n][^\n]*)?\s*\Z")


def after_hashes(solution: str) -> str | None:
    r"""The text after the "####" that begins the last line.

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
    return (found[1] or "").strip() if found else None


def final_line(solution: str) -> str:
    r"""The text after a last "####", or the whole text without one; stripped.

    Examples:
        >>> final_line("24 clips.\n#### 1,024")
        '1,024'
        >>> final_line(" 24 ")
        '24'
    """
    found = after_hashes(solution)
    return solution.strip() if found is None else found
