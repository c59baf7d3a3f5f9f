import hashlib
import os
import random
import time

import gguf
import pytest

from duet_contract import verified as verified_module
from duet_contract.errors import IntegrityError
from duet_contract.integrity import describe_directory, describe_file, verify_files
from duet_contract.verified import Verified
from tests.doubles.small_pairs import write_gguf

# Longer than a tick of a file system's clock: what `_SETTLED_NS` is for.
TICK_S = 0.05


@pytest.fixture
def described(tmp_path):
    path = tmp_path / "pair" / "sub" / "model.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights" * 1000)
    return tmp_path / "pair", path, describe_file(tmp_path / "pair", path)


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A record that remembers files at once, as if they had been written long ago."""
    monkeypatch.setattr(verified_module, "_SETTLED_NS", -1)
    return tmp_path / "state" / "verified.json"


def test_untouched_files_pass(described):
    directory, _, entry = described
    assert entry.path == "sub/model.bin"
    verify_files(directory, [entry])


def test_a_directory_is_described_whole_and_in_order(tmp_path):
    for name in ("m/b.txt", "m/sub/a.bin", "m/a.txt", "beside.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, "utf-8")
    entries = describe_directory(tmp_path, tmp_path / "m")
    assert [entry.path for entry in entries] == ["m/a.txt", "m/b.txt", "m/sub/a.bin"]
    verify_files(tmp_path, entries)


def test_a_folder_that_is_read_whole_holds_nothing_else(described, tmp_path):
    directory, path, entry = described
    verify_files(directory, [entry], whole="sub")
    # Weights that the manifest does not list, which a loader of all files would load.
    (path.parent / "extra").mkdir()
    other = path.parent / "extra" / "model-2.safetensors"
    other.write_bytes(b"")
    verify_files(directory, [entry])
    with pytest.raises(IntegrityError, match=r"model-2\.safetensors is not in the pair's manifest"):
        verify_files(directory, [entry], whole="sub")
    other.unlink()
    (path.parent / "linked").symlink_to(tmp_path)
    with pytest.raises(IntegrityError, match="linked is not in"):
        verify_files(directory, [entry], whole="sub")


def test_missing(described):
    directory, path, entry = described
    path.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        verify_files(directory, [entry])


def test_truncated(described):
    directory, path, entry = described
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="6999 bytes, its manifest says 7000"):
        verify_files(directory, [entry])


def test_a_thousand_random_byte_flips_of_a_gguf(tmp_path, record):
    """Over header, metadata and tensors, in place, with size and modification time put back."""
    path = tmp_path / "m.gguf"
    write_gguf(path)
    entry = describe_file(tmp_path, path)
    original = path.read_bytes()
    verify_files(tmp_path, [entry], gguf=[entry.path], verified=Verified(record))
    before = path.stat()
    time.sleep(TICK_S)
    chance = random.Random(0)
    metadata_at, tensors_at = 24, gguf.GGUFReader(path).data_offset
    flipped = {"header": 0, "metadata": 0, "tensors": 0}
    for _ in range(1000):
        position, mask = chance.randrange(len(original)), chance.randrange(1, 256)
        part = "metadata" if position < tensors_at else "tensors"
        flipped["header" if position < metadata_at else part] += 1
        with path.open("r+b") as file:
            file.seek(position)
            file.write(bytes([original[position] ^ mask]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(IntegrityError):
            verify_files(tmp_path, [entry], gguf=[entry.path], verified=Verified(record))
        path.write_bytes(original)
    verify_files(tmp_path, [entry], gguf=[entry.path], verified=Verified(record))
    assert min(flipped.values()) >= 10


def count_hashes(monkeypatch):
    hashed = []
    real = hashlib.file_digest

    def file_digest(file, name):
        hashed.append(name)
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    return hashed


def test_an_unchanged_file_is_hashed_once(described, record, monkeypatch):
    directory, _, entry = described
    hashed = count_hashes(monkeypatch)
    for _ in range(3):
        verify_files(directory, [entry], verified=Verified(record))
    assert len(hashed) == 1
    assert record.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", ["touch", "rename over", "in place, times put back"])
def test_a_changed_file_is_hashed_again(described, record, monkeypatch, change):
    directory, path, entry = described
    verify_files(directory, [entry], verified=Verified(record))
    before = path.stat()
    time.sleep(TICK_S)
    if change == "touch":
        os.utime(path)
    elif change == "rename over":
        other = path.with_name("other")
        other.write_bytes(path.read_bytes())
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
    else:
        with path.open("r+b") as file:
            file.write(b"W")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    hashed = count_hashes(monkeypatch)
    if change == "in place, times put back":
        with pytest.raises(IntegrityError, match="altered"):
            verify_files(directory, [entry], verified=Verified(record))
    else:
        verify_files(directory, [entry], verified=Verified(record))
    assert len(hashed) == 1


def test_a_file_changed_a_moment_ago_is_not_remembered(described, tmp_path):
    directory, path, entry = described
    record = tmp_path / "state" / "verified.json"
    verify_files(directory, [entry], verified=Verified(record))
    assert not record.exists()
    assert time.time_ns() - path.stat().st_ctime_ns < 60e9


@pytest.mark.parametrize("who", ["file", "directory"])
def test_a_record_that_others_may_write_vouches_for_nothing(described, record, monkeypatch, who):
    directory, _, entry = described
    verify_files(directory, [entry], verified=Verified(record))
    (record if who == "file" else record.parent).chmod(0o777)
    hashed = count_hashes(monkeypatch)
    verify_files(directory, [entry], verified=Verified(record))
    assert len(hashed) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": [1, 2, 3]}'])
def test_a_damaged_record_is_none(described, record, monkeypatch, content):
    directory, _, entry = described
    record.parent.mkdir(mode=0o700)
    record.write_text(content)
    record.chmod(0o600)
    hashed = count_hashes(monkeypatch)
    verify_files(directory, [entry], verified=Verified(record))
    assert len(hashed) == 1
    assert entry.sha256 in record.read_text("utf-8")


def test_a_record_does_not_vouch_for_another_hash(described, record):
    directory, _, entry = described
    verify_files(directory, [entry], verified=Verified(record))
    wrong = entry.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(IntegrityError, match="altered"):
        verify_files(directory, [wrong], verified=Verified(record))


def test_a_hash_alone_does_not_vouch_for_a_gguf(described, record):
    directory, _, entry = described
    verify_files(directory, [entry], verified=Verified(record))
    with pytest.raises(IntegrityError, match="not a well-formed GGUF"):
        verify_files(directory, [entry], gguf=[entry.path], verified=Verified(record))


@pytest.mark.parametrize("link", ["file", "directory"])
def test_a_link_in_a_pair(described, tmp_path, link):
    directory, path, entry = described
    outside = tmp_path / "outside"
    target = path if link == "file" else path.parent
    target.rename(outside)
    target.symlink_to(outside)
    with pytest.raises(IntegrityError, match="is a link"):
        verify_files(directory, [entry])


def test_a_pipe_in_place_of_a_file(described):
    directory, path, entry = described
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(IntegrityError, match="not a file"):
        verify_files(directory, [entry.model_copy(update={"bytes": 0})])
