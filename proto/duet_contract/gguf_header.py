"""Check a GGUF's header before llama.cpp reads it: no value in it may exceed the file.

Counts, lengths, types, shapes and offsets are compared with what the file can hold, and nothing is
allocated for them. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import struct
from math import prod
from typing import BinaryIO

from duet_contract.errors import IntegrityError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY, _UINT32 = 8, 9, 4
# Bytes of the metadata types of fixed size, by their number.
_VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# Least bytes that an entry takes: key length, one byte, type, value; name, shape, type, offset.
_LEAST_PAIR, _LEAST_TENSOR = 8 + 1 + 4 + 1, 8 + 1 + 4 + 8 + 4 + 8
_MOST_KEY, _MOST_NAME, _MOST_DIMENSIONS = 65535, 63, 4
_DEFAULT_ALIGNMENT, _MOST_ALIGNMENT = 32, 1 << 16
# Elements a block and bytes a block of each tensor type, by its number (ggml.c, type_traits).
TENSOR_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66),
    39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip


def check_gguf(file: BinaryIO, size: int, name: str) -> None:
    """Read the header of `file`, which has `size` bytes and is called `name` in errors.

    Raises:
        IntegrityError: not a GGUF, or its header promises what the file does not hold.
    """
    try:
        _check(_Reader(file, size))
    except _Malformed as error:
        raise IntegrityError(f"{name} is not a well-formed GGUF: {error}") from error


class _Malformed(Exception):
    """What is wrong with the header."""


class _Reader:
    """Reads forward, never beyond the file's size, and never more at once than is asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self.position = 0

    def take(self, count: int) -> bytes:
        self._advance(count)
        data = self._file.read(count)
        if len(data) != count:
            raise _Malformed("it ends within its header")
        return data

    def skip(self, count: int) -> None:
        self._advance(count)
        self._file.seek(self.position)

    def u32(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def u64(self) -> int:
        return int(struct.unpack("<Q", self.take(8))[0])

    def count(self, what: str, least_bytes: int) -> int:
        """Return a count of things that take at least `least_bytes` each."""
        count = self.u64()
        if count * least_bytes > self.size - self.position:
            raise _Malformed(f"it says {count} {what}, more than its {self.size} bytes can hold")
        return count

    def string(self, what: str, most: int) -> bytes:
        length = self.count(f"bytes of {what}", 1)
        if length > most:
            raise _Malformed(f"a {what} of {length} bytes, at most {most} are possible")
        return self.take(length)

    def _advance(self, count: int) -> None:
        self.position += count
        if self.position > self.size:
            raise _Malformed("it ends within its header")


def _check(reader: _Reader) -> None:
    if reader.size < 24 or reader.take(4) != _MAGIC:
        raise _Malformed("it does not begin as one")
    version = reader.u32()
    if version not in _VERSIONS:
        raise _Malformed(f"version {version} is not supported")
    tensors = reader.count("tensors", _LEAST_TENSOR)
    pairs = reader.count("metadata entries", _LEAST_PAIR)
    alignment = _check_metadata(reader, pairs)
    ends = _check_tensors(reader, tensors, alignment)
    start = -(-reader.position // alignment) * alignment
    if start + ends > reader.size:
        raise _Malformed(
            f"its tensors take {ends} bytes from byte {start} on, the file has {reader.size}"
        )


def _check_metadata(reader: _Reader, pairs: int) -> int:
    """Walk through the metadata; return the tensors' alignment."""
    alignment = _DEFAULT_ALIGNMENT
    keys = set()
    for _ in range(pairs):
        key = reader.string("key", _MOST_KEY)
        if key in keys:
            raise _Malformed(f"it has the key {key.decode('utf-8', 'replace')!r} twice")
        keys.add(key)
        kind = reader.u32()
        if key == b"general.alignment":
            alignment = reader.u32() if kind == _UINT32 else 0
            if not 0 < alignment <= _MOST_ALIGNMENT or alignment & (alignment - 1):
                raise _Malformed("its alignment is not a valid power of two")
        else:
            _skip_value(reader, kind)
    return alignment


def _skip_value(reader: _Reader, kind: int) -> None:
    if kind == _STRING:
        reader.skip(reader.count("bytes of text", 1))
    elif kind == _ARRAY:
        inner = reader.u32()
        if inner == _STRING:
            for _ in range(reader.count("strings", 8)):
                reader.skip(reader.count("bytes of text", 1))
        else:
            size = _value_bytes(inner)
            reader.skip(size * reader.count("values", size))
    else:
        reader.skip(_value_bytes(kind))


def _value_bytes(kind: int) -> int:
    # An array in an array has no fixed size: llama.cpp knows none, either.
    if kind not in _VALUE_BYTES:
        raise _Malformed(f"metadata of the unknown type {kind}")
    return _VALUE_BYTES[kind]


def _check_tensors(reader: _Reader, tensors: int, alignment: int) -> int:
    """Walk through the tensors' descriptions; return the bytes that they take together.

    Tensors follow one another, each padded to the alignment: llama.cpp expects just that.
    """
    expected = end = 0
    names = set()
    for _ in range(tensors):
        raw = reader.string("tensor name", _MOST_NAME)
        name = raw.decode("utf-8", "replace")
        if raw in names:
            raise _Malformed(f"it has the tensor {name!r} twice")
        names.add(raw)
        dimensions = reader.u32()
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise _Malformed(f"the tensor {name!r} has {dimensions} dimensions")
        shape = [reader.u64() for _ in range(dimensions)]
        kind, offset = reader.u32(), reader.u64()
        if kind not in TENSOR_TYPES:
            raise _Malformed(f"the tensor {name!r} has the unknown type {kind}")
        elements, size = TENSOR_TYPES[kind]
        if not all(shape) or shape[0] % elements:
            raise _Malformed(f"the tensor {name!r} has the impossible shape {shape}")
        if offset != expected:
            raise _Malformed(f"the tensor {name!r} is at {offset}, and should be at {expected}")
        end = offset + prod(shape) // elements * size
        if end > reader.size:
            raise _Malformed(
                f"the tensor {name!r} ends at byte {end} of its data, the file has {reader.size}"
            )
        expected = -(-end // alignment) * alignment
    return end
