"""The tools' JSON: bounded when read, finite when written, and a file read back and validated."""

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from duet_contract import json_data
from duet_tools.errors import UsageProblem


class Strict(BaseModel):
    """Content of a file: no unknown key, no NaN or infinity, not changed once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def to_json(self) -> str:
        """Return the text of a file: six significant digits."""
        return text_of(self.model_dump(mode="json", by_alias=True))


def text_of(data: object) -> str:
    """Return JSON as it is written to files."""
    return json_data.json_text(json_data.rounded(data), indent=1) + "\n"


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


class SchemaFile(Strict):
    """Content of a file that names the number of its schema."""

    schema_: Annotated[int, Field(alias="schema")] = 1
    """Number of the schema; a change that an older reader would misread raises it."""
    kind: ClassVar[str] = "file"
    """What such a file is called in messages."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            UsageProblem: it is missing, malformed, or of another schema.
        """
        text, wanted = read_text(path), cls.model_fields["schema_"].default
        try:
            data = json_data.parse_json(text)
            if data["schema"] != wanted:
                found = data["schema"]
                raise UsageProblem(f"{path.name} has schema {found}, this bench writes {wanted}")
            cls.prepare(data)
            return cls.model_validate(data)
        except ValidationError as error:
            fault = json_data.faults(error, cls.kind, 1)
        except KeyError as error:
            fault = f"it has no {error}"
        except (ValueError, TypeError, AttributeError) as error:
            fault = str(error)
        raise UsageProblem(f"{path.name} is not a valid {cls.kind}: {fault}")

    @classmethod
    def prepare(cls, data: Any) -> None:
        """Change content as an earlier version wrote it, before it is validated."""


def rows(path: Path) -> list[Any]:
    """Return the rows of a file of JSON lines that is appended to; none if it is missing.

    A partial line of a killed run is removed, so that the next line is whole.

    Raises:
        UsageProblem: a line is not JSON.
    """
    if not path.exists():
        return []
    # Bytes, since text has more ends of lines than JSON escapes, and a character may be torn.
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    found = []
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
        try:
            found.append(json_data.parse_json(line))
        except ValueError:
            raise UsageProblem(
                f"{path}, line {number}, cannot be read: take it out to have it measured again"
            ) from None
    return found
