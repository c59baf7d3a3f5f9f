"""Escape text from models, peers, files and errors so that it cannot control a terminal."""

import unicodedata
from typing import Any

from duet_contract.json_data import json_text

# Explicit bidirectional formatting (UAX #9, section 2): reorders what a person reads.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""Escape every character that controls a terminal or reorders its text.

    C0 and C1 controls, DEL, lone surrogates, line separators and bidirectional formatting
    characters become visible escapes. Line feeds and tabs stay.

    Args:
        text: any text, of any length.

    Returns:
        Text that a terminal shows as it is.

    Examples:
        >>> printable("\x1b[2Jdone\n")
        '\\x1b[2Jdone\n'
        >>> printable("\u202egnp.exe")
        '\\u202egnp.exe'
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(_escape(character) if _is_unsafe(character) else character for character in text)


def one_line(text: str) -> str:
    r"""Escape like `printable`, and join lines with a space.

    Examples:
        >>> one_line("refused:\n\x07 bell")
        'refused: \\x07 bell'
    """
    return printable(" ".join(text.replace("\t", " ").splitlines()))


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun, whose plural adds an s if none is given.

    Examples:
        >>> counted(1, "publisher"), counted(0, "publisher"), counted(2, "reply", "replies")
        ('1 publisher', '0 publishers', '2 replies')
    """
    return f"{number} {one if number == 1 else several or one + 's'}"


def printable_json(data: Any) -> str:
    r"""Return JSON that is safe on a terminal: unsafe characters become JSON escapes.

    Args:
        data: what `json.dumps` takes.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold (RFC 8259, section 6).

    Examples:
        >>> printable_json({"answer": "\x9bH ë"})
        '{"answer": "\\u009bH ë"}'
    """
    return json_escaped(json_text(data, ensure_ascii=False))


def json_escaped(text: str) -> str:
    r"""Replace unsafe characters inside JSON's strings by JSON escapes; the data is unchanged.

    Examples:
        >>> json_escaped('{"answer": "\x7f"}')
        '{"answer": "\\u007f"}'
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        f"\\u{ord(character):04x}" if _is_unsafe(character) else character for character in text
    )


def _is_unsafe(character: str) -> bool:
    if character in "\n\t":
        return False
    return character in _BIDI or unicodedata.category(character) in _UNSAFE_CATEGORIES


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
