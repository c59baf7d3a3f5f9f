"""Documents to Markdown through `markitdown`, in a process that can be stopped.

Its converters are called one by one: those that would fetch something or send it to a recogniser
(speech, pictures, pages by address) are never reached. `python -m duet_device.privacy.conversion` reads
documents from stdin and writes their text to stdout; `duet_device.privacy.documents` starts it.
"""

import contextlib
import io
import json
import logging
import os
import signal
import sys
import warnings
from typing import BinaryIO

CONVERTERS = {
    "pdf": "PdfConverter",
    "docx": "DocxConverter",
    "pptx": "PptxConverter",
    "xlsx": "XlsxConverter",
    "epub": "EpubConverter",
    "html": "HtmlConverter",
}
ENCRYPTED = "encrypted"


def convert(data: bytes, kind: str) -> dict[str, str]:
    """Return the text of a document.

    Args:
        data: the document.
        kind: one of `CONVERTERS`.

    Returns:
        `text`, or `error`: `ENCRYPTED`, or the kind of exception. What parsers say of broken files
        may quote them, so it stays here.
    """
    from markitdown import StreamInfo, converters

    converter = getattr(converters, CONVERTERS[kind])()
    try:
        result = converter.convert(io.BytesIO(data), StreamInfo(extension=f".{kind}"))
    # Parsers of damaged files raise exceptions of any kind.
    except Exception as error:
        return {"error": ENCRYPTED if _is_encrypted(error) else type(error).__name__}
    return {"text": str(result.markdown).replace("\0", "")}


def write_message(stream: BinaryIO, header: dict[str, object], body: bytes = b"") -> None:
    """Write a line of JSON with the length of the body, and the body."""
    line = json.dumps({**header, "bytes": len(body)}).encode() + b"\n"
    stream.write(line)
    stream.write(body)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[dict[str, str], bytes] | None:
    """Return what `write_message` wrote; None where the other side has ended."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    header = json.loads(line)
    body = stream.read(int(header["bytes"]))
    return (header, body) if len(body) == header["bytes"] else None


def _is_encrypted(error: BaseException | None) -> bool:
    while error is not None:
        text = f"{type(error).__name__} {error!r}"
        if "Password" in text or "Encrypt" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


def main() -> None:
    """Convert documents until stdin ends."""
    # The device stops this process; a terminal's Ctrl-C is for the device.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    # Parsers print and log what they find in a file.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        while (message := read_message(sys.stdin.buffer)) is not None:
            header, data = message
            reply = convert(data, header["kind"])
            text = reply.pop("text", None)
            write_message(replies, dict(reply), (text or "").encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
