"""The tools' JSON: bounded when read, finite when written, and a file read back and validated."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tools.bench.errors import UsageProblem

_File = TypeVar("_File", bound=BaseModel)

MOST_BYTES = 256 << 20
"""Largest file that is read: a report of 100,000 questions has some 20 MB."""


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Reads a UTF-8 file of bounded size, with or without a byte order mark.

    Raises:
        UsageProblem: it cannot be read, is larger than `most_bytes`, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise UsageProblem(f"cannot read {path}: {error.strerror}") from error
    if len(data) > most_bytes:
        raise UsageProblem(f"{path} is larger than {most_bytes} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path.name} is not UTF-8: {error.reason}") from error


def parse_json(text: str | bytes) -> Any:
    """Parses JSON (RFC 8259) of any content.

    Raises:
        ValueError: not JSON, a number that is not finite, or nested too deeply.

    Examples:
        >>> parse_json('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def json_text(data: Any, indent: int | None = None) -> str:
    """JSON as the tools write it to files.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.
    """
    return json.dumps(data, indent=indent, allow_nan=False)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits[:20]} is out of range")
    return number


def rounded(data: object) -> object:
    """Six significant digits: more is noise, and makes every new file differ everywhere."""
    if isinstance(data, float):
        return float(f"{data:.6g}")
    if isinstance(data, dict):
        return {key: rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [rounded(value) for value in data]
    return data


def read(
    path: Path,
    model: type[_File],
    kind: str,
    schema: int,
    prepare: Callable[[Any], None] = lambda _: None,
) -> _File:
    """Reads a file.

    Args:
        path: the file.
        model: what it holds.
        kind: what such a file is called in messages.
        schema: the number that it must name under `schema`.
        prepare: changes the content before it is validated.

    Raises:
        UsageProblem: it is missing, malformed, or of another schema.
    """
    text = read_text(path)
    try:
        data = parse_json(text)
        found = data["schema"]
        if found != schema:
            raise UsageProblem(f"{path.name} has schema {found}, this bench writes {schema}")
        prepare(data)
        return model.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise UsageProblem(f"{path.name} is no {kind}: {where}: {fault['msg']}") from error
    except KeyError as error:
        raise UsageProblem(f"{path.name} is no {kind}: it has no {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageProblem(f"{path.name} is no {kind}: {error}") from error
