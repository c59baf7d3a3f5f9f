"""One directory in another's place: always one of the two, whatever the system can do."""

import threading
from pathlib import Path

import pytest

from duet_device.pairs.pulling import swap
from duet_device.pairs.pulling.swap import put_in_place


@pytest.fixture(params=["in one step", "by two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the system exchanges two names."""
    if request.param == "by two renames":
        monkeypatch.setattr(swap, "_exchange", lambda *_: False)
    return str(request.param)


def make(directory: Path, content: str) -> Path:
    (directory / "decoder").mkdir(parents=True)
    (directory / "decoder" / "m").write_text(content)
    return directory


def there(directory: Path) -> str:
    return (directory / "decoder" / "m").read_text()


@pytest.mark.parametrize("before", ["nothing", "a directory", "a link"])
def test_the_new_one_is_there_and_nothing_else(way: str, before: str, tmp_path: Path) -> None:
    target = tmp_path / "pairs" / "toy"
    target.parent.mkdir()
    linked = make(tmp_path / "linked", "linked")
    if before == "a directory":
        make(target, "old")
    elif before == "a link":
        target.symlink_to(linked)
    put_in_place(make(tmp_path / "new", "new"), target)
    assert there(target) == "new"
    assert not target.is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ["toy"]
    assert not (tmp_path / "new").exists()
    # The target of a link belongs to another program.
    assert there(linked) == "linked"


def test_what_was_there_stays_when_the_new_one_cannot_be_moved(way: str, tmp_path: Path) -> None:
    target = make(tmp_path / "toy", "old")
    with pytest.raises(OSError, match="No such file"):
        put_in_place(tmp_path / "missing", target)
    assert there(target) == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_at_no_moment_is_there_nothing(tmp_path: Path) -> None:
    target = make(tmp_path / "toy", "0")
    probe = make(tmp_path / "probe", "")
    if not swap._exchange(target, probe):
        pytest.skip("this file system exchanges no names in one step")
    swap._exchange(target, probe)
    missing: list[int] = []
    looks = 0
    done = threading.Event()

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            looks += 1
            if not target.exists():
                missing.append(looks)

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(1, 101):
        put_in_place(make(tmp_path / "new", str(number)), target)
    done.set()
    watcher.join()
    assert there(target) == "100"
    assert looks > 100
    assert not missing
