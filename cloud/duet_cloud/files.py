"""Reads files that a person wrote or copied: of bounded size, in UTF-8 from any editor."""

from pathlib import Path

MOST_BYTES = 1 << 20


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A file's content.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than `most` bytes.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """A file's text, with or without a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than `most` bytes, or not UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8: save it as UTF-8") from error
