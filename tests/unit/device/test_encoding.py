"""Text from bytes of any editor."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.text import decode_text

MARKS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}


@given(st.text().filter(lambda text: not text.startswith("\ufeff")), st.sampled_from(sorted(MARKS)))
def test_text_comes_back_without_its_mark(text: str, encoding: str) -> None:
    assert decode_text(MARKS[encoding] + text.encode(encoding)) == text


@pytest.mark.parametrize("data", [b"caf\xe9", b"\xff\xfea", b"\xef\xbb\xbf\xff", b"\xfe\xff\xd8\0"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_text(data)
