"""Reads JSON from files and peers: whatever is wrong with it is a `ValueError`."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parses strict JSON (RFC 8259).

    Args:
        text: a whole document; bytes are UTF-8, UTF-16 or UTF-32.

    Returns:
        What `json.loads` returns.

    Raises:
        ValueError: not JSON, NaN or Infinity in it, or nested deeper than Python parses.

    Examples:
        >>> parse_json('{"a": [1]}')
        {'a': [1]}
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
            ...
        ValueError: nested too deeply
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")
