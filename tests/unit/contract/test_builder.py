"""The builder's key: made once, for its owner alone, unused once others may have changed it."""

import pytest

from duet_contract.builder import builder_key, builder_public
from duet_contract.errors import KeyProblem
from duet_contract.keys import public_bytes


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "duet" / "builder"


def test_nobody_built_here():
    assert builder_public() == ()


def test_the_key_is_made_once(directory):
    key = builder_key()
    assert public_bytes(builder_key()) == public_bytes(key)
    assert builder_public() == (public_bytes(key),)
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}


def test_others_may_write_it(directory):
    builder_key()
    for file in directory.iterdir():
        file.chmod(0o620)
    with pytest.raises(KeyProblem, match="other users"):
        builder_public()
    with pytest.raises(KeyProblem, match="other users"):
        builder_key()
