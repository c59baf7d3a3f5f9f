"""Text of PDF, office and HTML files, through `markitdown` (the extra `documents`).

Small files can keep a parser busy for minutes, so a process of its own converts them, within a time
limit for all of a question's documents (`Converter`).
"""

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import threading
import time
import zipfile
from typing import BinaryIO, Self, cast

from duet_device.errors import UsageProblem
from duet_device.privacy.conversion import ENCRYPTED, read_message, write_message

HTML_NAMES = (".html", ".htm", ".xhtml")
# What an archive may unpack to; office files are archives.
MOST_UNPACKED_BYTES = 256 << 20
_PDF, _PDF_END = b"%PDF-", b"%%EOF"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# How each kind is known inside its archive.
_ARCHIVED = {
    "docx": "word/document.xml",
    "pptx": "ppt/presentation.xml",
    "xlsx": "xl/workbook.xml",
    "epub": "META-INF/container.xml",
}
# Where readers look for a PDF's head.
_PDF_HEAD_BYTES = 1024


def kind_of(data: bytes) -> str | None:
    """Return what kind of document these bytes are (`pdf`, `docx`, `ole`, ...); None for other files."""
    if data.startswith(_OLE):
        return "ole"
    if data.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = set(archive.namelist())
        except (zipfile.BadZipFile, NotImplementedError, ValueError):  # damaged in any place
            return "zip"
        return next((kind for kind, name in _ARCHIVED.items() if name in names), "zip")
    head = data[: _PDF_HEAD_BYTES + len(_PDF)]
    if (start := head.find(_PDF)) >= 0 and (not head[:start].strip() or _PDF_END in data):
        return "pdf"
    return None


class Converter:
    """Reads documents in a process that is started for the first and ends with the last.

    Args:
        seconds: time limit of all documents together.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end: float | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def text(self, name: str, data: bytes, kind: str) -> str:
        """Return the text of a document, as Markdown.

        Args:
            name: for errors.
            data: the document.
            kind: as `kind_of` says.

        Raises:
            UsageProblem: it is encrypted, damaged, of an old format, unpacks to too much or is not
                read in time, or `markitdown` is not installed.
        """
        if kind == "ole":
            if "EncryptedPackage".encode("utf-16-le") in data:
                raise UsageProblem(f"{name} is encrypted: save it without a password")
            raise UsageProblem(
                f"{name} is of an old office format: save it as docx, pptx, xlsx or PDF"
            )
        if kind == "zip":
            raise UsageProblem(f"{name} is an archive or a damaged office file: name what is in it")
        if kind in _ARCHIVED:
            _check_archive(name, data)
        if importlib.util.find_spec("markitdown") is None:
            raise UsageProblem(
                f"{name} needs markitdown: pip install 'markitdown[docx,pdf,pptx,xlsx]', or give its text"
            )
        header, body = self._convert(name, data, kind)
        problem = header.get("error")
        if problem == ENCRYPTED:
            raise UsageProblem(f"{name} is encrypted: save it without a password")
        if problem:
            raise UsageProblem(
                f"{name} cannot be read as {kind.upper()} ({problem}): is it damaged?"
            )
        return body.decode("utf-8")

    def _convert(self, name: str, data: bytes, kind: str) -> tuple[dict[str, str], bytes]:
        if self._end is None:
            self._end = time.monotonic() + self._seconds
        process = self._process = self._process or _start()
        # Killing it ends the read below.
        stop = threading.Timer(max(0, self._end - time.monotonic()), process.kill)
        stop.daemon = True
        stop.start()
        try:
            write_message(cast(BinaryIO, process.stdin), {"kind": kind}, data)
            reply = read_message(cast(BinaryIO, process.stdout))
        except OSError:  # it ended while it was written to
            reply = None
        finally:
            stop.cancel()
        if reply is not None:
            return reply
        self._stop()
        if time.monotonic() >= self._end:
            raise UsageProblem(
                f"{name} was not read within {self._seconds:g} s (--context-timeout): give more "
                "time, or its text"
            )
        return {"error": "the reader crashed"}, b""

    def _stop(self) -> None:
        if process := self._process:
            self._process = None
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    # What was not written is for no one.
                    with contextlib.suppress(OSError):
                        stream.close()


def _start() -> subprocess.Popen[bytes]:
    # The same packages as here, wherever they come from.
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-m", "duet_device.privacy.conversion"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    )


def _check_archive(name: str, data: bytes) -> None:
    # Unpacking stops at the size that the archive names, so that size is what counts.
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if any(entry.flag_bits & 1 for entry in archive.infolist()):
            raise UsageProblem(f"{name} is encrypted: save it without a password")
    if size > MOST_UNPACKED_BYTES:
        raise UsageProblem(f"{name} unpacks to {size} bytes, at most {MOST_UNPACKED_BYTES}")
