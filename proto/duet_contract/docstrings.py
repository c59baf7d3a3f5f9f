"""Docstrings of fields: the one source of JSON schemas' descriptions and of options' help.

They are read from the source of a class, so call this when a schema or a help is shown, not before.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise


@cache
def field_docstrings(owner: type) -> Mapping[str, str]:
    """Return the docstring below each field of a class, without those of its bases.

    Examples:
        >>> from duet_contract.receipt import Bytes
        >>> field_docstrings(Bytes)["up"]
        'Bytes from the device to the cloud.'
    """
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def option_help(docstring: str) -> str:
    """Return the help of an option that fills a field, from the field's docstring.

    It is the first sentence. What that sentence says of None is the default, which help shows in
    brackets.

    Examples:
        >>> option_help("Port of `/livez` over HTTP; None: no port. Probes ask there.")
        'Port of /livez over HTTP [no port].'
    """
    first = re.split(r"(?<=\.)\s", " ".join(docstring.split()), maxsplit=1)[0]
    text, _, default = first.replace("`", "").removesuffix(".").partition("; None: ")
    return f"{text} [{default}]." if default else f"{text}."
