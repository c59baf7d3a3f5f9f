"""What is installed: kept, replaced, mended, listed and deleted."""

import io
import json
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from duet_contract.pairs import pairs_home
from duet_device.cli import main
from duet_device.errors import ExitCode
from tests.doubles.pair_cloud import PairCloud
from tests.doubles.pulls import KEY, OTHER, is_installed, pull
from tests.doubles.small_pairs import write_pair

Captured = pytest.CaptureFixture[str]


def install(directory: Path, version: str) -> None:
    write_pair(directory, KEY, version=version)
    assert main(["pull", str(directory)]) == ExitCode.OK


def test_a_newer_version_takes_the_place_and_an_older_one_only_on_wish(
    tmp_path: Path, home: Path, capsys: Captured
) -> None:
    def version() -> str:
        return str(json.loads((home / "toy" / "manifest.json").read_bytes())["version"])

    install(tmp_path / "old", "1.9.0")
    install(tmp_path / "new", "1.10.0")
    assert version() == "1.10.0"
    capsys.readouterr()
    assert main(["pull", str(tmp_path / "old")]) == ExitCode.MODEL
    assert "--allow-downgrade" in capsys.readouterr().err
    assert version() == "1.10.0"
    assert main(["pull", str(tmp_path / "old"), "--allow-downgrade"]) == ExitCode.OK
    assert version() == "1.9.0"
    assert [path.name for path in home.iterdir() if path.name != ".pulling"] == ["toy"]


@pytest.mark.parametrize("content", [None, b"{}", b'{"schema": 99}'])
def test_what_cannot_be_read_is_not_deleted(
    tmp_path: Path, home: Path, capsys: Captured, content: bytes | None
) -> None:
    write_pair(tmp_path / "new", KEY)
    weights = home / "toy" / "reasoner" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"of days of training")
    if content is not None:
        (home / "toy" / "manifest.json").write_bytes(content)
    assert main(["pull", str(tmp_path / "new")]) == ExitCode.MODEL
    assert "cannot be read" in capsys.readouterr().err
    assert weights.read_bytes() == b"of days of training"


@pytest.mark.parametrize("fault", ["cut", "altered", "another key"])
def test_a_newer_version_that_does_not_arrive_leaves_the_one_that_is_there(
    tmp_path: Path, home: Path, fault: str
) -> None:
    install(tmp_path / "old", "1.0.0")
    write_pair(tmp_path / "new", OTHER if fault == "another key" else KEY, version="2.0.0")
    with PairCloud(tmp_path / "new") as cloud:
        if fault == "cut":
            cloud.cuts = [10] + [0] * 10
        elif fault == "altered":
            cloud.content = (tmp_path / "new" / "decoder" / "m.gguf").read_bytes()[:-1] + b"?"
        assert pull(cloud, "toy") != ExitCode.OK
    assert is_installed(home, tmp_path / "old")


def test_a_built_pair_is_not_overwritten(
    cloud: PairCloud, home: Path, tmp_path: Path, capsys: Captured
) -> None:
    write_pair(home / "toy", KEY, version="0.9.0")
    assert pull(cloud, "toy") == ExitCode.MODEL
    assert "with its reasoner" in capsys.readouterr().err
    assert (home / "toy" / "reasoner" / "a.json").exists()
    assert json.loads((home / "toy" / "manifest.json").read_bytes())["version"] == "0.9.0"


def test_a_damaged_pair_is_mended(cloud: PairCloud, home: Path) -> None:
    assert pull(cloud, "toy") == ExitCode.OK
    file = home / "toy" / "decoder" / "m.gguf"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert pull(cloud, "toy") == ExitCode.OK
    assert is_installed(home, cloud.directory)


def test_pairs_lists_and_rm_deletes(
    cloud: PairCloud, home: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert pull(cloud, "toy") == ExitCode.OK
    write_pair(home / "bare")
    write_pair(home / "foreign", OTHER)
    write_pair(home / "altered", KEY)
    path = home / "altered" / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b"a toy", b"a TOY"))
    (home / "broken").mkdir()
    (home / "broken" / "manifest.json").write_text("{")
    capsys.readouterr()
    assert main(["pairs"]) == ExitCode.OK
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "signed by" in rows["toy"]
    assert "(by hand)" in rows["toy"]
    assert "1.0.0" in rows["toy"]
    assert "not signed" in rows["bare"]
    assert "not trusted" in rows["foreign"]
    assert "does not hold" in rows["altered"]
    assert "unusable" in rows["broken"]
    assert main(["rm", "toy", "--yes"]) == ExitCode.OK
    assert not (home / "toy").exists()
    for name in ("toy", "../home", ".", str(tmp_path)):
        assert main(["rm", name, "--yes"]) == ExitCode.MODEL
        assert "there is no pair" in capsys.readouterr().err
    kept = {path.name for path in home.iterdir()}
    assert kept == {"altered", "bare", "broken", "foreign", ".pulling"}


def test_one_bad_pair_hides_no_other(home: Path, capsys: Captured) -> None:
    write_pair(home / "toy", KEY)
    for name, content in {
        "deep": b"[" * 100_000,
        "binary": b"\xff\xfe\x00",
        "number": b'{"schema": 1e999}',
        "list": b"[1]",
    }.items():
        (home / name).mkdir()
        (home / name / "manifest.json").write_bytes(content)
    (home / "directory" / "manifest.json").mkdir(parents=True)
    (home / "two\nlines").mkdir()
    (home / "two\nlines" / "manifest.json").write_text("{")
    assert main(["pairs"]) == ExitCode.OK
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 6
    assert sum("unusable: " in row for row in rows) == 5
    assert any(row.startswith("toy ") and "signed by" in row for row in rows)


def test_a_broken_list_of_publishers_hides_no_pair(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    write_pair(home / "toy", KEY)
    (tmp_path / "home" / "publishers.json").write_text("[" * 100_000)
    assert main(["pairs"]) == ExitCode.OK
    assert "unusable: the list of trusted publishers" in capsys.readouterr().out


def test_rm_asks(home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(home / "toy", KEY)
    assert pairs_home() == home
    monkeypatch.setattr(sys, "stdin", Mock(readline=Mock(side_effect=KeyboardInterrupt)))
    assert main(["rm", "toy"]) == ExitCode.INTERRUPTED
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert main(["rm", "toy"]) == ExitCode.OK
    assert (home / "toy").exists()
    assert capsys.readouterr().err.endswith("duet-device: toy stays\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["rm", "toy"]) == ExitCode.OK
    assert not (home / "toy").exists()


@pytest.mark.parametrize(
    "stdin", [io.StringIO(""), Mock(readline=Mock(side_effect=OSError(9, "Bad file descriptor")))]
)
def test_rm_without_anyone_to_ask_says_how(
    stdin: object, home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(home / "toy", KEY)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["rm", "toy"]) == ExitCode.USAGE
    assert "duet-device rm --yes toy" in capsys.readouterr().err
    assert (home / "toy").exists()
