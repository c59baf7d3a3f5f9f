import pytest

from duet_contract.errors import IntegrityError
from duet_contract.integrity import describe_file, verify_files


@pytest.fixture
def described(tmp_path):
    path = tmp_path / "sub" / "model.bin"
    path.parent.mkdir()
    path.write_bytes(b"weights" * 1000)
    return tmp_path, path, describe_file(tmp_path, path)


def test_untouched_files_pass(described):
    directory, _, entry = described
    assert entry.path == "sub/model.bin"
    verify_files(directory, [entry])


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


@pytest.mark.parametrize("position", [0, 3500, 6999])
def test_one_byte_altered(described, position):
    directory, path, entry = described
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="altered"):
        verify_files(directory, [entry])
