r"""Finds the final answer: what stands in the last complete \boxed{...} of a response."""

import re

_OPENING = re.compile(r"\\f?boxed\s*\{")


def last_boxed(response: str) -> str | None:
    r"""The text inside the last \boxed{...} whose braces close, or None if there is none.

    Nothing is taken from anywhere else: numbers fished out of prose score answers that the model
    never gave.
    """
    for opening in reversed(list(_OPENING.finditer(response))):
        depth = 1
        for index in range(opening.end(), len(response)):
            if response[index - 1] == "\\":
                continue
            depth += {"{": 1, "}": -1}.get(response[index], 0)
            if depth == 0:
                return response[opening.end() : index].strip()
    return None
