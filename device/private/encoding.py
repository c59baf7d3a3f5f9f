"""Text from bytes: UTF-8 with or without a byte order mark, UTF-16 with one."""

import codecs

_BY_MARK = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode_text(data: bytes) -> str:
    """Decodes text, as editors and shells of any system write it, without its byte order mark.

    Args:
        data: all bytes of a file or a stream.

    Returns:
        The text; line ends stay as they are.

    Raises:
        UnicodeDecodeError: the bytes are not of the encoding that their mark names, or, without a
            mark, not UTF-8.

    Examples:
        >>> decode_text("Zoë".encode("utf-16"))
        'Zoë'
    """
    encoding = next((each for mark, each in _BY_MARK.items() if data.startswith(mark)), "utf-8")
    return data.decode(encoding)
