"""A file of rows, JSON lines with ids: a run that is stopped in any way loses none of them."""

import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from duet_contract.console import OutputLost
from duet_contract.json_data import parse_json
from duet_contract.private_files import open_locked, write_private
from duet_contract.terminal import printable_json
from duet_device.errors import UsageProblem

Row = dict[str, Any]


@contextmanager
def locked(path: Path) -> Iterator[io.BufferedRandom]:
    """Open a file of rows, made if it is missing, for one process at a time.

    Raises:
        UsageProblem: it cannot be written, or another process writes it.
    """
    try:
        opened = os.fdopen(open_locked(path, os.O_APPEND), "r+b")
    except io.UnsupportedOperation as error:
        raise UsageProblem(f"{path} is a pipe or a terminal: give a file") from error
    except BlockingIOError as error:
        raise UsageProblem(f"another process writes {path}: give another file") from error
    except OSError as error:
        raise UsageProblem(f"cannot write {path}: {error.strerror}") from error
    with opened as file:
        yield file


def read_rows(file: io.BufferedRandom, path: Path) -> dict[str, Row]:
    """Return the rows by id, the last one of each id; remove a torn last line.

    Raises:
        UsageProblem: a line is not a row.
    """
    rows: dict[str, Row] = {}
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        # Such as /dev/null: it keeps no rows, and some devices have no end.
        return rows
    file.seek(0)
    lines = file.read().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            rows[row["id"]] = row
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and _is_torn(line):
                file.truncate(file.tell() - len(line))
                return rows
            raise UsageProblem(
                f"{path}, line {number} is not a row with an id: give another file"
            ) from error
    if lines and not lines[-1].endswith(b"\n"):
        file.write(b"\n")
    return rows


def _is_torn(line: bytes) -> bool:
    """Return whether a killed process wrote the start of a row; what others wrote must stay."""
    start = _line({"id": ""})[:-4]
    return not line.endswith(b"\n") and (line.startswith(start) or start.startswith(line))


def append(file: io.BufferedRandom, row: Row, path: Path) -> None:
    """Append a row.

    Raises:
        OutputLost: it cannot be written.
    """
    try:
        file.write(_line(row))
        file.flush()
    except OSError as error:
        # Closed without what it could not write, which its own close would try again.
        file.raw.close()
        raise OutputLost(f"cannot write {path}: {error.strerror}") from error


def sort(path: Path, rows: dict[str, Row], ids: Iterable[str]) -> None:
    """Bring the rows into an order of ids; rows of other ids follow.

    Raises:
        OutputLost: the file cannot be written.
    """
    # Of a link, the target is replaced.
    path = Path(os.path.realpath(path))
    rest = dict(rows)
    ordered = [rest.pop(each) for each in ids if each in rest] + list(rest.values())
    content = b"".join(map(_line, ordered))
    try:
        if path.is_file() and path.read_bytes() != content:
            write_private(path, content)
    except OSError as error:
        raise OutputLost(f"cannot write {path}: {error.strerror}") from error


def _line(row: Row) -> bytes:
    return printable_json(row).encode("utf-8") + b"\n"
