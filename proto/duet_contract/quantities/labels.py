"""Labels that stand for quantities: `[a]` in a question, `a` in a formula.

Fractions, such as ¾ or two-thirds, have the letters from u on: "deleted [c] of the files" asks for
another formula if the question says what share of the files it is, not how many.

In SmolLM2's vocabulary the letter is a token of its own between brackets, before and after any
text, and the same token as in a formula: `[a]kg` is four tokens, `a-b*c` is five. A bare letter is
one token in the question, but "a", "I" and unit letters are words. `<a>`, `{a}` and `#a` merge with
what follows them.
"""

import re
from collections.abc import Iterator
from itertools import count, product
from string import ascii_lowercase

FUNCTIONS = frozenset({"abs", "max", "min", "round", "up", "down", "mod"})
"""Names that a formula uses otherwise, so that no label has them."""
LABEL = re.compile(r"\[([a-z]+)\]")
_FRACTIONS = "xyzuvw"
_OTHERS = "".join(letter for letter in ascii_lowercase if letter not in _FRACTIONS)


def label_names(question: str, *, fractions: bool = False) -> Iterator[str]:
    """Yield names whose label the question does not contain: a to t, then aa, ab and so on.

    Args:
        question: any text.
        fractions: whether the names are for fractions: x, y, z, u, v, w, then xx and so on.

    Examples:
        >>> from itertools import islice
        >>> list(islice(label_names("Is [b] a label?"), 3))
        ['a', 'c', 'd']
        >>> next(label_names("Is [b] a label?", fractions=True))
        'x'
    """
    taken = set(LABEL.findall(question))
    for length in count(1):
        for letters in product(_FRACTIONS if fractions else _OTHERS, repeat=length):
            name = "".join(letters)
            if name not in taken and name not in FUNCTIONS:
                yield name


def label(name: str) -> str:
    """Return the label as a question has it."""
    return f"[{name}]"
