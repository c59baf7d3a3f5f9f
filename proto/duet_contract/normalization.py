"""Unicode normalization in linear time.

`unicodedata.normalize` sorts each run of combining characters by insertion, and holds the
interpreter's lock meanwhile: a text of 262 KB that is one such run stops a program for minutes.
"""

import unicodedata
from itertools import chain, groupby
from typing import Literal

Form = Literal["NFC", "NFKC"]
# Characters of a text up to which sorting by insertion takes a few milliseconds at most.
_SHORT = 1024


def normalize(form: Form, text: str) -> str:
    r"""Return `unicodedata.normalize(form, text)`.

    Examples:
        >>> normalize("NFC", "e\u0301")
        'é'
    """
    if len(text) > _SHORT and not text.isascii():
        text = _ordered("NFKD" if form == "NFKC" else "NFD", text)
    return unicodedata.normalize(form, text)


def _ordered(form: Literal["NFD", "NFKD"], text: str) -> str:
    """Return an equivalent text with its combining characters in canonical order (UAX #15)."""
    decomposed = "".join(unicodedata.normalize(form, char) for char in text)
    classes = unicodedata.combining
    runs = groupby(decomposed, key=lambda char: classes(char) > 0)
    return "".join(
        chain.from_iterable(sorted(run, key=classes) if marks else run for marks, run in runs)
    )
