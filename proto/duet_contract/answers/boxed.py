r"""Find the answer that a response marks as final: the last complete `\boxed{...}`."""

import re

# Escaped characters are skipped, so that "\{" opens nothing.
_MARK = re.compile(r"\\f?box(?:ed)?\s*\{|\\.|[{}]", re.DOTALL)


def last_boxed(response: str) -> str | None:
    r"""Return the text inside the last `\boxed{...}` or `\fbox{...}` whose braces close.

    Empty boxes are ignored: models repeat "put the answer in \boxed{}". Of nested boxes the inner
    one counts. Time is linear in the length of the response.

    Returns:
        The text, stripped; None if no box closes.

    Examples:
        >>> last_boxed(r"first \boxed{1}, then \boxed{\frac{1}{2}}")
        '\\frac{1}{2}'
        >>> last_boxed("the answer is 12") is None
        True
    """
    last = (-1, "")
    open_braces: list[tuple[int, bool]] = []
    for mark in _MARK.finditer(response):
        found = mark[0]
        if found == "}":
            if open_braces:
                start, is_box = open_braces.pop()
                if is_box and start > last[0] and response[start : mark.start()].strip():
                    last = (start, response[start : mark.start()])
        elif found[-1] == "{" and found != r"\{":
            open_braces.append((mark.end(), found != "{"))
    return last[1].strip() or None
