"""The tools' JSON: bounded when read, finite when written, and a file read back and validated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from duet_contract import json_data
from duet_tools.errors import UsageProblem

_File = TypeVar("_File", bound=BaseModel)


class Strict(BaseModel):
    """Content of a file: no unknown key, no NaN or infinity, not changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def read_text(path: Path, most_bytes: int = json_data.MOST_BYTES) -> str:
    """Read a UTF-8 file of bounded size, with or without a byte order mark.

    Raises:
        UsageProblem: it cannot be read, is larger than `most_bytes`, or is not UTF-8.
    """
    try:
        return json_data.read_text(path, most_bytes)
    except OSError as error:
        raise UsageProblem(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path.name} is not UTF-8: {error.reason}") from error
    except ValueError as error:
        raise UsageProblem(f"cannot read {path}: {error}") from error


def read(
    path: Path,
    model: type[_File],
    kind: str,
    schema: int,
    prepare: Callable[[Any], None] = lambda _: None,
) -> _File:
    """Read a file.

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
        data = json_data.parse_json(text)
        found = data["schema"]
        if found != schema:
            raise UsageProblem(f"{path.name} has schema {found}, this bench writes {schema}")
        prepare(data)
        return model.model_validate(data)
    except ValidationError as error:
        fault = json_data.faults(error, kind, 1)
        raise UsageProblem(f"{path.name} is not a valid {kind}: {fault}") from error
    except KeyError as error:
        raise UsageProblem(f"{path.name} is not a valid {kind}: it has no {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageProblem(f"{path.name} is not a valid {kind}: {error}") from error
