"""Show an answer at the terminal as a person writes it, while it streams."""

import re

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_MARKS = (r"\boxed{", r"\fboxed{", r"\box{", r"\fbox{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
# Characters of a box; a longer one is shown as it is.
_MOST = 1000


class PlainAnswer:
    r"""Replaces each `\boxed{...}` by what it holds, in plain text.

    Examples:
        >>> answer = PlainAnswer()
        >>> [answer.feed(text) for text in ("She has \\box", "ed{\\frac{3}{4}", "} left.")]
        ['She has ', '', '3/4 left.']
        >>> answer.finish()
        ''
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what can be shown by now."""
        self._held += text
        shown = ""
        while self._held:
            before, backslash, _ = self._held.partition("\\")
            shown += before
            self._held = self._held[len(before) :]
            if not backslash:
                break
            taken = self._take()
            if taken is None:
                break
            shown += taken
        return shown

    def finish(self) -> str:
        """Return what was held back."""
        held, self._held = self._held, ""
        return held

    def _take(self) -> str | None:
        """Take a box, or the backslash of anything else; None if the rest must be waited for."""
        box = _BOX.match(self._held)
        if not box:
            if any(mark.startswith(self._held.rstrip()) for mark in _MARKS):
                return None
            self._held = self._held[1:]
            return "\\"
        end = _closing(self._held, box.end())
        if end is None:
            return None if len(self._held) <= _MOST else self.finish()
        from duet_contract.answers.plain import plain

        content = self._held[box.end() : end]
        self._held = self._held[end + 1 :]
        return plain(content) or content


def _closing(text: str, start: int) -> int | None:
    """Return the position of the brace that closes one before `start`."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if not depth:
            return brace.start()
    return None
