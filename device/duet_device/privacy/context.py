"""Private material for the decoder (`--context`): read here, given to the decoder, never sent.

Text is UTF-8, or UTF-16 with a byte order mark. PDF and office files go through
`duet_device.privacy.documents`. The first bytes of a file decide its type, not its name.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from duet_device.errors import UsageProblem
from duet_device.privacy.documents import HTML_NAMES, Converter, kind_of
from duet_device.setting_types import DEFAULT_CONTEXT_TIMEOUT
from duet_device.text import decode_text, encoding_of

# No decoder's window holds more; files are read no further than this.
MOST_TEXT_BYTES = 16 << 20
MOST_DOCUMENT_BYTES = 64 << 20
# A folder with more is rarely what a user wants to give.
MOST_FILES = 1000
# Names that a note lists.
_FEW = 3


class _NotText(UsageProblem):
    """The file is neither text nor a document that can be read."""


class _Empty(UsageProblem):
    """The file is empty."""


@dataclass(frozen=True)
class Document:
    """The text of one file."""

    name: str
    """Name as the user gave it, or inside the folder that the user gave."""
    text: str
    """The file's text."""


# What a question comes with: documents in the order given.
Context = tuple[Document, ...]


def read_context(
    sources: Sequence[str],
    note: Callable[[str], None],
    timeout: float = DEFAULT_CONTEXT_TIMEOUT,
    option: str = "--context",
) -> Context:
    """Read every source: files, folders with all that is in them, `-` for stdin.

    In folders, hidden, empty and non-text files are skipped, and `note` receives what was skipped.
    A file that the user named is read or refused.

    Args:
        sources: as `--context` names them.
        note: receives one line about skipped files.
        timeout: seconds that all documents together may take; plain text takes none.
        option: name of the option, for errors.

    Raises:
        UsageProblem: something cannot be read, is empty, too large, or no text.
    """
    if sources.count("-") > 1:
        raise UsageProblem(f"{option} - reads stdin, which can be given once")
    # The name of the current folder, to pathlib.
    if "" in sources:
        raise UsageProblem(f"{option} is empty: give a file, a folder, or - for stdin")
    documents: list[Document] = []
    with Converter(timeout) as converter:
        for source in sources:
            if source == "-":
                documents.append(_document("stdin", _read_stdin(), converter))
            elif Path(source).is_dir():
                documents += _folder(Path(source), note, converter)
            else:
                data = _read(Path(source))
                documents.append(_document(_readable(source), data, converter))
    total = sum(len(document.text.encode("utf-8")) for document in documents)
    if total > MOST_TEXT_BYTES:
        raise UsageProblem(
            f"the context has {total} bytes of text, at most {MOST_TEXT_BYTES} can be given"
        )
    return tuple(documents)


def _folder(folder: Path, note: Callable[[str], None], converter: Converter) -> Iterator[Document]:
    paths = list(_files(folder))
    if len(paths) > MOST_FILES:
        raise UsageProblem(f"{folder} holds more than {MOST_FILES} files: name those that matter")
    left_out: list[str] = []
    count = 0
    for path in paths:
        name = _readable(path.relative_to(folder.parent).as_posix())
        try:
            yield _document(name, _read(path), converter)
            count += 1
        except (_NotText, _Empty):
            left_out.append(name)
    if not count:
        raise UsageProblem(f"{folder} holds no text")
    if left_out:
        more = f" and {len(left_out) - _FEW} more" if len(left_out) > _FEW else ""
        note(f"left out, empty or no text: {', '.join(left_out[:_FEW])}{more}")


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder by name, without hidden ones; links to folders are not followed."""

    def fail(error: OSError) -> None:
        raise UsageProblem(f"cannot read {error.filename}: {error.strerror}") from error

    count = 0
    for directory, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory, name)
            if not name.startswith(".") and path.is_file():
                yield path
                count += 1
                if count > MOST_FILES:
                    return


def _readable(name: str) -> str:
    """Return a file's name as the prompt can hold it: names of old shares need not be UTF-8."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_DOCUMENT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageProblem(f"cannot read {path}: {reason}") from error


def _read_stdin() -> bytes:
    try:
        return sys.stdin.buffer.read(MOST_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise UsageProblem(f"cannot read the context from stdin: {error.strerror}") from error


def _document(name: str, data: bytes, converter: Converter) -> Document:
    """Return a file's text.

    Raises:
        UsageProblem: see `read_context`.
    """
    kind = kind_of(data)
    if kind is None and name.lower().endswith(HTML_NAMES):
        kind = "html"
    most = MOST_DOCUMENT_BYTES if kind else MOST_TEXT_BYTES
    if len(data) > most:
        raise UsageProblem(f"{name} has more than {most} bytes")
    if not data.strip():
        raise _Empty(f"{name} is empty")
    text = converter.text(name, data, kind) if kind else _decode(name, data)
    if not text.strip():
        raise UsageProblem(f"{name} holds no text (is it scanned?)" if kind else f"{name} is empty")
    if len(text.encode("utf-8")) > MOST_TEXT_BYTES:
        raise UsageProblem(f"{name} has more than {MOST_TEXT_BYTES} bytes of text")
    return Document(name, text)


def _decode(name: str, data: bytes) -> str:
    try:
        text = decode_text(data)
    except UnicodeDecodeError as error:
        if encoding_of(data) == "utf-8" and not _looks_like_text(data):
            raise _NotText(f"{name} is binary, neither text nor a document") from error
        raise UsageProblem(
            f"{name} is not UTF-8 text (byte {error.start}): convert it, for example with iconv"
        ) from error
    if "\0" in text:
        raise _NotText(f"{name} is binary, neither text nor a document")
    return text


def _looks_like_text(data: bytes) -> bool:
    """Return whether bytes that are not UTF-8 may be text of an older encoding."""
    return not any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in data[:4096])
