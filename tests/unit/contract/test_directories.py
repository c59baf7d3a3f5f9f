"""Users without a home, paths of others, and files in the place of directories."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from duet_contract.builder import builder_public
from duet_contract.directories import (
    cache_directory,
    config_directory,
    data_directory,
    expand,
    state_directory,
)
from duet_contract.errors import NoDirectoryError, PairNotFoundError
from duet_contract.manifest import MANIFEST_NAME
from duet_contract.pairs import find_pair, pairs_home, pairs_in
from duet_contract.verified import FileHash, Verified

XDG = ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A uid without passwd entry, in an environment without HOME, as containers have it."""

    def unknown(_: object) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "DUET_PAIRS", *XDG):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("find", [data_directory, cache_directory, state_directory, pairs_home])
def test_no_home_says_what_to_set(find: Callable[[], Path]) -> None:
    with pytest.raises(NoDirectoryError, match=r"no home directory: set [A-Z_]+ \(or HOME\)"):
        find()


@pytest.mark.usefixtures("homeless")
def test_what_is_named_needs_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path))
    assert pairs_home() == tmp_path
    for name in XDG:
        monkeypatch.setenv(name, str(tmp_path))
    assert data_directory() == cache_directory() == state_directory() == tmp_path / "duet"


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": "/home/kate"},
        {"HOME": "/home/kate/"},
        {"HOME": "/home/kate", **dict.fromkeys((*XDG, "XDG_CONFIG_HOME"), "/srv/its own")},
        {"HOME": "/home/kate", **dict.fromkeys((*XDG, "XDG_CONFIG_HOME"), "relative")},
        {"HOME": "relative"},
        {"HOME": ""},
        {},
    ],
    ids=str,
)
def test_directories_are_where_platformdirs_has_them(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", *XDG):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == platformdirs.user_cache_path("duet")
    assert config_directory() == platformdirs.user_config_path("duet")
    assert data_directory() == platformdirs.user_data_path("duet")
    assert state_directory() == platformdirs.user_state_path("duet")


@pytest.mark.usefixtures("homeless")
def test_what_can_be_done_without_is(tmp_path: Path) -> None:
    assert builder_public() == ()
    found = tmp_path.stat()
    verified = Verified()
    verified.add(found, FileHash("ab" * 32, gguf=False))
    verified.save()
    assert verified.find(found) is None


@pytest.mark.parametrize("path", ["~no-such-user", "~no-such-user/pairs"])
def test_a_home_of_no_one(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoDirectoryError, match="no home directory ~no-such-user"):
        expand(path)
    with pytest.raises(PairNotFoundError):
        find_pair(path)
    monkeypatch.setenv("DUET_PAIRS", path)
    with pytest.raises(NoDirectoryError):
        pairs_home()


def test_pairs_in_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert pairs_in(tmp_path / "missing") == {}
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(PairNotFoundError, match="Not a directory; set DUET_PAIRS"):
            pairs_in(path)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "a\0b", "./" + "y" * 5000])
def test_names_that_no_file_can_have(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path))
    with pytest.raises(PairNotFoundError):
        find_pair(name)


def test_a_name_that_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/p\xff"))
    (root / "toy").mkdir(parents=True)
    (root / "toy" / MANIFEST_NAME).write_text("{}")
    (root / ".hidden").mkdir()
    (root / ".hidden" / MANIFEST_NAME).write_text("{}")
    monkeypatch.setenv("DUET_PAIRS", str(root))
    assert pairs_in(pairs_home()) == {"toy": root / "toy"}
    assert find_pair("toy") == find_pair(str(root / "toy")) == root / "toy"
