"""Memory that holds a model's file."""

import mmap
import re
import sys
from pathlib import Path

import pytest

from duet_device.decoder.llama import release

PAGES = 64


def _resident_kb(path: Path) -> int:
    """Sum the resident kilobytes of this process's mappings of a file."""
    found = re.findall(rf" {re.escape(str(path))}\n(?:\w.*\n)*?Rss: +(\d+) kB", _smaps())
    return sum(map(int, found))


def _smaps() -> str:
    return Path("/proc/self/smaps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_pages_of_a_mapped_file_are_given_back_and_read_again(tmp_path: Path) -> None:
    path, other = tmp_path / "model", tmp_path / "other"
    content = bytes(range(256)) * (PAGES * mmap.PAGESIZE // 256)
    for each in (path, other):
        each.write_bytes(content)
    with (
        path.open("rb") as file,
        other.open("rb") as untouched,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
        mmap.mmap(untouched.fileno(), 0, prot=mmap.PROT_READ) as kept,
    ):
        assert mapped[:] == kept[:] == content
        whole = PAGES * mmap.PAGESIZE // 1024
        assert (_resident_kb(path), _resident_kb(other)) == (whole, whole)
        release(path)
        assert (_resident_kb(path), _resident_kb(other)) == (0, whole)
        assert mapped[:] == content


def test_a_file_that_is_missing_or_not_mapped_is_left_alone(tmp_path: Path) -> None:
    release(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"content")
    release(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_that_may_be_written_is_not_dropped(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_WRITE) as private,
    ):
        private[:4] = b"mine"
        release(path)
        assert private[:4] == b"mine"
