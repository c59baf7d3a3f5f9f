"""JSON (RFC 8259): read within bounds, whatever its origin, and written for any program."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

MOST_BYTES = 256 << 20
"""Largest file that is read: a report of 100,000 questions has about 20 MB."""
# Of a row in an error: as many keys, and as many characters of each.
_MOST_KEYS, _LONGEST_KEY = 8, 32


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Parse JSON of any content.

    Args:
        text: the JSON; bytes in UTF-8.
        finite: whether every number must be finite. Model configurations that Python wrote may
            hold `Infinity`.

    Raises:
        ValueError: not JSON, a number that is not finite, or nested too deeply.

    Examples:
        >>> parse_json('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
    """
    try:
        if not finite:
            return json.loads(text)
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def faults(error: "ValidationError", whole: str, most: int | None = None) -> str:
    """Return what pydantic says of data, in one line: the places and what is wrong there.

    Args:
        error: its exception.
        whole: the name of the data, for a fault that is of no single place.
        most: how many faults are named; None: all.
    """
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}"
        for fault in error.errors()[:most]
    )


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Read a UTF-8 file of bounded size, with or without a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than `most_bytes`, or not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8: save it as UTF-8") from error


def read_json(path: Path, most_bytes: int = MOST_BYTES, *, finite: bool = True) -> Any:
    """Read a file of JSON; see `parse_json`.

    Raises:
        OSError: it cannot be read.
        ValueError: see `read_text` and `parse_json`.
    """
    return parse_json(read_text(path, most_bytes), finite=finite)


def json_text(data: Any, *, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """Return JSON as it is written to files.

    Args:
        data: what `json.dumps` takes.
        indent: spaces a level; one line if None.
        ensure_ascii: whether other characters are escapes.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.

    Examples:
        >>> json_text({"a": 1})
        '{"a": 1}'
    """
    return json.dumps(data, indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)


def rounded(data: object) -> object:
    """Return the data with numbers of six significant digits: more digits of a measurement are noise.

    Examples:
        >>> rounded({"seconds": [0.123456789, 3], "tokens": 12})
        {'seconds': [0.123457, 3], 'tokens': 12}
    """
    return _with_floats(data, lambda number: float(f"{number:.6g}"))


def without_infinities(data: Any) -> Any:
    """Replace numbers that are not finite by None, for measurements that may have no value.

    Examples:
        >>> without_infinities({"loss": [float("nan"), 1.0]})
        {'loss': [None, 1.0]}
    """
    return _with_floats(data, lambda number: number if math.isfinite(number) else None)


def _with_floats(data: Any, change: Callable[[float], float | None]) -> Any:
    """Return the data with other values in the place of its floating-point numbers."""
    if isinstance(data, float):
        return change(data)
    if isinstance(data, dict):
        return {key: _with_floats(value, change) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_with_floats(value, change) for value in data]
    return data


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits[:20]} is out of range")
    return number


def keys_text(row: Mapping[str, object]) -> str:
    """Return the keys of a row in words, for an error about one that is missing.

    Examples:
        >>> keys_text({"query": "why?", "answer": 4}), keys_text({})
        ("it has 'query', 'answer'", 'it is empty')
    """
    keys = ", ".join(repr(key[:_LONGEST_KEY]) for key in list(row)[:_MOST_KEYS])
    return f"it has {keys}" if keys else "it is empty"
