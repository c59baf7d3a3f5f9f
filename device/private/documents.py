"""Text of PDF, office and HTML files, through `markitdown` (the extra `documents`).

Its converters are called one by one: those that would fetch something or send it to a recogniser
(speech, pictures, pages by address) are never reached.
"""

import contextlib
import io
import logging
import warnings
import zipfile
from collections.abc import Iterator

from device.errors import DeviceError, UsageProblem

HTML_NAMES = (".html", ".htm", ".xhtml")
# What an archive may unpack to; office files are archives.
MOST_UNPACKED_BYTES = 256 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# How each kind is known inside its archive.
_ARCHIVED = {
    "docx": "word/document.xml",
    "pptx": "ppt/presentation.xml",
    "xlsx": "xl/workbook.xml",
    "epub": "META-INF/container.xml",
}
_CONVERTERS = {
    "pdf": "PdfConverter",
    "docx": "DocxConverter",
    "pptx": "PptxConverter",
    "xlsx": "XlsxConverter",
    "epub": "EpubConverter",
    "html": "HtmlConverter",
}


def kind_of(data: bytes) -> str | None:
    """What kind of document these bytes are (`pdf`, `docx`, `ole`, ...); None if of none."""
    if data[:1024].lstrip().startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(_OLE):
        return "ole"
    if data.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = set(archive.namelist())
        except zipfile.BadZipFile:
            return "zip"
        return next((kind for kind, name in _ARCHIVED.items() if name in names), "zip")
    return None


def document_text(name: str, data: bytes, kind: str) -> str:
    """The text of a document, as Markdown.

    Raises:
        UsageProblem: it is encrypted, damaged, of an old format or unpacks to too much, or
            `markitdown` is not installed.
    """
    if kind == "ole":
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise UsageProblem(f"{name} is encrypted: save it without a password")
        raise UsageProblem(f"{name} is of an old office format: save it as docx, pptx, xlsx or PDF")
    if kind == "zip":
        raise UsageProblem(f"{name} is an archive or a damaged office file: name what is in it")
    if kind in _ARCHIVED:
        _check_archive(name, data)
    try:
        from markitdown import StreamInfo, converters
    except ImportError as error:
        raise UsageProblem(
            f"{name} needs markitdown: pip install 'duet-split[documents]', or give its text"
        ) from error
    converter = getattr(converters, _CONVERTERS[kind])()
    with _silence():
        try:
            result = converter.convert(io.BytesIO(data), StreamInfo(extension=f".{kind}"))
        except DeviceError:
            raise  # the user's interrupt
        # Parsers of broken files raise whatever they stumble on, and what they say may quote them.
        except Exception as error:
            if _is_encrypted(error):
                raise UsageProblem(f"{name} is encrypted: save it without a password") from None
            raise UsageProblem(
                f"{name} cannot be read as {kind.upper()} ({type(error).__name__}): is it damaged?"
            ) from None
    return str(result.markdown).replace("\0", "")


def _check_archive(name: str, data: bytes) -> None:
    # Unpacking stops at the size that the archive names, so that size is what counts.
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if any(entry.flag_bits & 1 for entry in archive.infolist()):
            raise UsageProblem(f"{name} is encrypted: save it without a password")
    if size > MOST_UNPACKED_BYTES:
        raise UsageProblem(f"{name} unpacks to {size} bytes, at most {MOST_UNPACKED_BYTES}")


def _is_encrypted(error: BaseException | None) -> bool:
    while error is not None:
        text = f"{type(error).__name__} {error!r}"
        if "Password" in text or "Encrypt" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Parsers log what they find in a file, and warn of it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
