"""Headers that promise what the file does not hold are refused, without allocating for them."""

import io
import struct
import tracemalloc

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.errors import IntegrityError
from duet_contract.gguf_header import TENSOR_TYPES, check_gguf
from tests.doubles.small_pairs import write_gguf

HUGE = (1 << 63) - 1


def check(content):
    check_gguf(io.BytesIO(content), len(content), "m.gguf")


def text(value, length=None):
    data = value.encode()
    return struct.pack("<Q", len(data) if length is None else length) + data


def header(tensors=0, pairs=0, version=3, magic=b"GGUF"):
    return magic + struct.pack("<IQQ", version, tensors, pairs)


def tensor(name="t", shape=(32,), kind=0, offset=0, dimensions=None):
    count = len(shape) if dimensions is None else dimensions
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", count, *shape, kind, offset)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    write_gguf(path)
    return path.read_bytes()


def test_a_real_one_is_read_to_the_end_of_its_header(small, tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(small)
    with path.open("rb") as file:
        check_gguf(file, len(small), "m.gguf")
        # What is left of it is padding.
        assert 0 <= gguf.GGUFReader(path).data_offset - file.tell() < 32


def test_every_way_of_cutting_it_short_is_refused(small):
    for end in range(len(small) - 1):
        with pytest.raises(IntegrityError):
            check(small[:end])


def test_tensor_types_are_those_of_ggml():
    known = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert known.items() >= TENSOR_TYPES.items() or known.items() <= TENSOR_TYPES.items()


PADDING = bytes(256)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not begin"),
        (b"\0" * 100, "does not begin"),
        (header(magic=b"FUGG") + PADDING, "does not begin"),
        (header(version=1) + PADDING, "version 1"),
        (header(version=0x03000000) + PADDING, "version"),
        (header(tensors=HUGE) + PADDING, "tensors, more than"),
        (header(pairs=HUGE) + PADDING, "metadata entries, more than"),
        (header(pairs=1) + text("k", HUGE) + PADDING, "bytes of key, more than"),
        (header(pairs=1) + text("k" * 70000) + PADDING, "at most 65535"),
        (header(pairs=1) + text("k") + struct.pack("<I", 99) + PADDING, "unknown type 99"),
        (header(pairs=1) + text("k") + struct.pack("<IQ", 8, HUGE) + PADDING, "bytes of text"),
        (header(pairs=1) + text("k") + struct.pack("<IIQ", 9, 8, HUGE) + PADDING, "strings"),
        (header(pairs=1) + text("k") + struct.pack("<IIQ", 9, 10, HUGE) + PADDING, "values"),
        (header(pairs=1) + text("k") + struct.pack("<IIQ", 9, 9, 1) + PADDING, "unknown type 9"),
        (
            header(pairs=2) + 2 * (text("k") + struct.pack("<IB", 7, 1)) + PADDING,
            "the key 'k' twice",
        ),
        (
            header(pairs=1) + text("general.alignment") + struct.pack("<II", 4, 0) + PADDING,
            "alignment",
        ),
        (
            header(pairs=1) + text("general.alignment") + struct.pack("<II", 4, 48) + PADDING,
            "alignment",
        ),
        (
            header(pairs=1) + text("general.alignment") + struct.pack("<II", 4, 1 << 31) + PADDING,
            "alignment",
        ),
        (header(tensors=1) + tensor(name="x" * 64) + PADDING, "at most 63"),
        (header(tensors=1) + tensor(dimensions=5) + PADDING, "5 dimensions"),
        (header(tensors=1) + tensor(dimensions=0) + PADDING, "0 dimensions"),
        (header(tensors=1) + tensor(kind=77) + PADDING, "unknown type 77"),
        (header(tensors=1) + tensor(shape=(0,)) + PADDING, "impossible shape"),
        (header(tensors=1) + tensor(shape=(33,), kind=8) + PADDING, "impossible shape"),
        (header(tensors=1) + tensor(shape=(1 << 40,)) + PADDING, "ends at byte"),
        # A product that wraps around in 64 bits.
        (header(tensors=1) + tensor(shape=(1 << 32, 1 << 32, 2)) + PADDING, "ends at byte"),
        (header(tensors=1) + tensor(offset=HUGE) + PADDING, "should be at 0"),
        (header(tensors=2) + tensor() + tensor(offset=128) + bytes(512), "twice"),
        (header(tensors=2) + tensor() + tensor(name="u") + bytes(512), "should be at 128"),
    ],
)
def test_what_is_no_gguf(content, said):
    with pytest.raises(IntegrityError, match=said):
        check(content)


def test_a_bomb_costs_no_memory():
    bomb = header(pairs=1) + text("k") + struct.pack("<IIQ", 9, 8, 1 << 60) + bytes(1 << 16)
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="more than"):
        check(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@given(st.data())
def test_no_bytes_make_the_check_fail_in_another_way(small, data):
    content = bytearray(small)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    said = ""
    try:
        check(bytes(content))
    except IntegrityError as error:
        said = str(error)
    assert not said or said.startswith("m.gguf is not a well-formed GGUF: ")
