"""Generated blocks in Markdown files: what is between `<!-- NAME:start -->` and `<!-- NAME:end -->`."""

from collections.abc import Mapping
from pathlib import Path


class BlockError(ValueError):
    """A file has no marks for a block."""


def put_block(text: str, name: str, content: str) -> str:
    """Put content between a block's marks.

    Raises:
        BlockError: if the marks are missing or in the wrong order.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise BlockError(f"no block {name}: add the lines {start} and {end}")
    return f"{head}{start}\n{content.rstrip()}\n{end}{tail}"


def update_blocks(path: Path, blocks: Mapping[str, str], *, check: bool = False) -> bool:
    """Write blocks into a file; with `check`, change nothing.

    Returns:
        Whether the file differed from its blocks.

    Raises:
        BlockError: if marks are missing; the file is left as it is.
        OSError: if the file cannot be read or written.
    """
    text = wanted = path.read_text("utf-8")
    for name, content in blocks.items():
        try:
            wanted = put_block(wanted, name, content)
        except BlockError as error:
            raise BlockError(f"{path}: {error}") from None
    if text != wanted and not check:
        path.write_text(wanted, "utf-8")
    return text != wanted
