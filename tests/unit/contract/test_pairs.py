import pytest

from duet_contract.errors import PairNotFoundError
from duet_contract.manifest import MANIFEST_NAME
from duet_contract.pairs import find_pair, pairs_home


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path / "home"))
    return tmp_path / "home"


def _pair(directory):
    directory.mkdir(parents=True)
    (directory / MANIFEST_NAME).write_text("{}")
    return directory


def test_by_name_and_by_directory(home):
    named = _pair(home / "toy")
    assert pairs_home() == home
    assert find_pair("toy") == named
    assert find_pair(str(named)) == named


def test_unknown_names_what_is_there(home):
    _pair(home / "toy")
    with pytest.raises(PairNotFoundError, match="no pair 'tyo'.*there are: toy"):
        find_pair("tyo")


@pytest.mark.parametrize("name", ["", ".", "..", "no/such/dir"])
def test_never_leaves_the_roots(home, name):
    with pytest.raises(PairNotFoundError):
        find_pair(name)
