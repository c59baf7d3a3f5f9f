"""Text from files and pipes, as editors and shells of every system write it."""

import codecs

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(data: bytes) -> str:
    """UTF-8, unless a byte order mark says UTF-16; the encoding named takes the mark away."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")


def decode_text(data: bytes) -> str:
    r"""Decodes UTF-8, with or without a byte order mark, and UTF-16 with one.

    Raises:
        UnicodeDecodeError: it is neither.

    Examples:
        >>> decode_text(b"\xef\xbb\xbfwhy?"), decode_text("why?".encode("utf-16"))
        ('why?', 'why?')
    """
    return data.decode(encoding_of(data))
