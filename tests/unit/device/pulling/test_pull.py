"""`duet-device pull`, from a cloud that does what a test wants."""

import hashlib
import json
import resource
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from duet_contract.calibration import add_calibration
from duet_contract.manifest import PairFile, load_manifest
from duet_contract.signature import sign_pair
from duet_device.cli import main
from duet_device.errors import ExitCode, ModelProblem
from duet_device.identity import renewal
from duet_device.pairs.pair import open_pair
from duet_device.pairs.pulling import cloud as cloud_module
from duet_device.pairs.pulling.install import alone
from duet_device.pairs.pulling.source import append
from duet_device.policy.calibrations import calibration_of, store
from duet_device.trust.publishers import BY_HAND, pin
from tests.doubles.pair_cloud import PairCloud
from tests.doubles.pulls import KEY, OTHER, is_installed, pull, refused
from tests.doubles.small_pairs import calibration_for, write_gguf, write_pair

Captured = pytest.CaptureFixture[str]


def test_a_pair_is_installed_as_it_was_signed(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured
) -> None:
    assert pull(cloud, "toy") == ExitCode.OK
    assert "toy@1.0.0 is ready in" in capsys.readouterr().out
    assert is_installed(home, origin)
    assert [path.name for path in (home / ".pulling").iterdir()] == ["toy.lock"]
    assert pull(cloud) == ExitCode.OK
    assert "here already" in capsys.readouterr().out
    assert cloud.offsets == [0]


def test_the_identity_with_a_cloud_is_renewed_once_the_pair_is_here(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[str] = []

    def renew_if_due(server: str, note: Callable[[str], None]) -> bool:
        assert "toy@1.0.0 is" in capsys.readouterr().out
        note("it ends soon")
        renewed.append(server)
        return True

    monkeypatch.setattr(renewal, "renew_if_due", renew_if_due)
    assert pull(cloud) == ExitCode.OK
    assert pull(cloud) == ExitCode.OK  # here already
    assert renewed == [cloud.address] * 2
    assert capsys.readouterr().err == "duet-device: it ends soon\n"
    assert pull(cloud, str(origin)) == ExitCode.OK
    assert pull(cloud, "another") == ExitCode.MODEL
    assert renewed == [cloud.address] * 2


@pytest.mark.parametrize("cuts", [[250], [1], [0], [100, 3, 0, 0, 57]])
def test_a_cut_is_gone_on_with_at_the_exact_byte(
    cloud: PairCloud, origin: Path, home: Path, cuts: list[int]
) -> None:
    cloud.cuts = list(cuts)
    assert pull(cloud, "toy") == ExitCode.OK
    expected = [sum(cuts[:n]) for n in range(len(cuts) + 1)]
    assert cloud.offsets == expected
    assert is_installed(home, origin)


def test_another_server_continues_a_download(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured
) -> None:
    with PairCloud(origin) as other:
        gone = other.address
    with PairCloud(origin) as other:
        cloud.cuts = [250]
        servers = f"{gone},{cloud.address},{other.address}"
        assert main(["pull", "toy", "--server", servers]) == ExitCode.OK
    assert (cloud.offsets, other.offsets) == ([0], [250])
    assert is_installed(home, origin)
    err = capsys.readouterr().err
    assert f"; asking {cloud.address}\n" in err
    assert f"; continuing at {other.address} at byte 250 in " in err


def test_a_link_that_stays_broken_keeps_what_came(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured
) -> None:
    cloud.cuts = [333] + [0] * 10
    refused(pull(cloud, "toy"), capsys, "the link broke", home, ExitCode.UNREACHABLE)
    cloud.cuts, cloud.offsets = [], []
    assert pull(cloud, "toy") == ExitCode.OK
    assert cloud.offsets == [333]
    assert is_installed(home, origin)


def test_a_cloud_that_drips_comes_to_an_end(
    cloud: PairCloud, home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_module, "_MOST_WAIT_S", 0.01)
    cloud.cuts = [1] * 100
    refused(pull(cloud, "toy"), capsys, "the link broke", home, ExitCode.UNREACHABLE)
    assert len(cloud.offsets) == 20


@pytest.mark.parametrize(("asked", "most"), [(0.25, 0.32), (86_000.0, 75.0)])
def test_a_busy_cloud_s_delay_is_followed_within_a_minute_and_not_by_all_at_once(
    cloud: PairCloud, monkeypatch: pytest.MonkeyPatch, asked: float, most: float
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    cloud.retry_after = [asked] * 3
    assert pull(cloud, "toy") == ExitCode.OK
    assert len(set(pauses)) == 3
    assert all(min(asked, 60.0) <= pause <= most for pause in pauses)


def test_no_cloud(cloud: PairCloud, home: Path, capsys: Captured) -> None:
    cloud.__exit__()
    refused(pull(cloud, "toy"), capsys, "no cloud at", home, ExitCode.UNREACHABLE)


def test_no_signature(cloud: PairCloud, origin: Path, home: Path, capsys: Captured) -> None:
    (origin / "model.sig").unlink()
    refused(pull(cloud, "toy"), capsys, "is not signed", home)
    refused(pull(cloud, "toy"), capsys, "trust its publisher with: duet-device trust FILE", home)
    assert main(["pull", "--server", cloud.address]) == ExitCode.MODEL
    # It does not advise what was just tried.
    assert "duet-device pull" not in capsys.readouterr().err
    # Where a publisher is pinned, there is no way around it.
    refused(pull(cloud, "toy", "--allow-unsigned"), capsys, "is not signed", home)
    assert cloud.offsets == []


def test_a_signature_of_another_key(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured
) -> None:
    sign_pair(origin, OTHER)
    refused(pull(cloud, "toy"), capsys, "does not trust", home)
    assert cloud.offsets == []


def test_nobody_is_pinned(cloud: PairCloud, origin: Path, home: Path, capsys: Captured) -> None:
    pin(BY_HAND, ())
    refused(pull(cloud, "toy"), capsys, "repeat with --yes", home)
    assert pull(cloud, "toy", "--allow-unsigned") == ExitCode.OK
    assert is_installed(home, origin)


def test_not_signed_and_nobody_is_pinned(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured
) -> None:
    pin(BY_HAND, ())
    (origin / "model.sig").unlink()
    refused(pull(cloud, "toy"), capsys, "--allow-unsigned", home)
    assert pull(cloud, "toy", "--allow-unsigned") == ExitCode.OK
    assert is_installed(home, origin, signed=False)


def test_an_altered_manifest(cloud: PairCloud, origin: Path, home: Path, capsys: Captured) -> None:
    cloud.manifest = (origin / "manifest.json").read_bytes().replace(b"a toy", b"a TOY")
    refused(pull(cloud, "toy"), capsys, "was altered after it was signed", home)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b'{"schema": NaN}'])
def test_a_manifest_that_is_no_json(
    content: bytes, cloud: PairCloud, home: Path, capsys: Captured
) -> None:
    cloud.manifest = content
    refused(pull(cloud, "toy"), capsys, "is not JSON", home)


def test_a_signature_that_is_nested_deeply(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured
) -> None:
    (origin / "model.sig").write_bytes(b"[" * 100_000)
    refused(pull(cloud, "toy"), capsys, "duet-device: ", home)


def test_a_manifest_that_fills_the_memory(cloud: PairCloud, home: Path, capsys: Captured) -> None:
    cloud.manifest = b" " * (900 << 10) + b"{}"
    refused(pull(cloud, "toy"), capsys, "no whole number", home)


@pytest.mark.parametrize("position", [0, 30, -1])
def test_an_altered_file(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured, position: int
) -> None:
    content = bytearray((origin / "decoder" / "m.gguf").read_bytes())
    content[position] ^= 1
    cloud.content = bytes(content)
    refused(pull(cloud, "toy"), capsys, "sent what was not signed", home)
    # The partial download is not resumed.
    cloud.content, cloud.offsets = None, []
    assert pull(cloud, "toy") == ExitCode.OK
    assert cloud.offsets == [0]
    assert is_installed(home, origin)


def test_more_bytes_than_the_manifest_says(cloud: PairCloud, home: Path, capsys: Captured) -> None:
    cloud.extra = b"x" * 1000
    refused(pull(cloud, "toy"), capsys, "is larger there", home)


def test_a_signed_gguf_bomb(tmp_path: Path, home: Path, capsys: Captured) -> None:
    """Even what a trusted publisher signed does not reach llama.cpp malformed."""
    write_pair(tmp_path / "bomb", KEY)
    file = tmp_path / "bomb" / "decoder" / "m.gguf"
    content = bytearray(file.read_bytes())
    content[8:16] = (1 << 62).to_bytes(8, "little")
    file.write_bytes(content)
    manifest = json.loads((tmp_path / "bomb" / "manifest.json").read_bytes())
    manifest["decoder"]["files"][0]["sha256"] = hashlib.sha256(content).hexdigest()
    (tmp_path / "bomb" / "manifest.json").write_text(json.dumps(manifest))
    sign_pair(tmp_path / "bomb", KEY)
    with PairCloud(tmp_path / "bomb") as cloud:
        refused(pull(cloud, "toy"), capsys, "not a well-formed GGUF", home)


@pytest.mark.parametrize(
    "path",
    ["../evil", "/etc/evil", "manifest.json", "evil\0"],
)
def test_a_path_that_leaves_the_pair(
    cloud: PairCloud, origin: Path, home: Path, capsys: Captured, path: str
) -> None:
    manifest = json.loads((origin / "manifest.json").read_bytes())
    manifest["decoder"]["path"] = manifest["decoder"]["files"][0]["path"] = path
    cloud.manifest = json.dumps(manifest).encode()
    refused(pull(cloud, "toy"), capsys, "is invalid", home)
    assert cloud.offsets == []


@pytest.mark.parametrize("linked", ["decoder/m.gguf", "decoder"])
def test_a_link_where_the_download_goes(
    cloud: PairCloud, home: Path, tmp_path: Path, capsys: Captured, linked: str
) -> None:
    cloud.cuts = [10] + [0] * 10
    assert pull(cloud, "toy") == ExitCode.UNREACHABLE
    capsys.readouterr()
    (parts,) = (home / ".pulling").glob("toy@*")
    outside = tmp_path / "outside"
    (parts / linked).rename(outside)
    (parts / linked).symlink_to(outside)
    cloud.cuts = []
    refused(pull(cloud, "toy"), capsys, "is a link", home)
    behind = outside / "m.gguf" if outside.is_dir() else outside
    assert behind.stat().st_size == 10, "something was written behind the link"


def test_a_link_in_a_directory_that_is_pulled(
    origin: Path, tmp_path: Path, home: Path, capsys: Captured
) -> None:
    file = origin / "decoder" / "m.gguf"
    file.rename(tmp_path / "outside")
    file.symlink_to(tmp_path / "outside")
    refused(main(["pull", str(origin)]), capsys, "cannot read", home)


def test_another_pair_than_was_asked_for(cloud: PairCloud, home: Path, capsys: Captured) -> None:
    refused(pull(cloud, "other"), capsys, "gave toy@1.0.0 in place of other", home)
    refused(pull(cloud, "toy@2.0.0"), capsys, "in place of toy@2.0.0", home)


def test_no_space(
    cloud: PairCloud, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 100, 0))
    refused(pull(cloud, "toy"), capsys, "0 MB are free", home)
    assert cloud.offsets == []


def test_a_disk_that_takes_a_part_of_a_chunk_has_no_room(tmp_path: Path) -> None:
    target, file = tmp_path / "part", PairFile(path="part", bytes=32, sha256="ab" * 32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(ModelProblem, match="cannot write"):
            append(target, file, [b"a" * 16, b"b" * 16], lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    # What was written is the start of the file, so that the next pull resumes.
    assert target.read_bytes() == b"a" * 16 + b"b" * 4


def test_a_directory_is_a_source(origin: Path, home: Path, capsys: Captured) -> None:
    assert main(["pull", str(origin)]) == ExitCode.OK
    assert is_installed(home, origin)
    assert main(["pull", str(origin / "decoder") + "/"]) == ExitCode.MODEL
    assert "cannot read the pair" in capsys.readouterr().err


def test_a_bar_on_a_terminal(
    cloud: PairCloud, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert pull(cloud, "toy") == ExitCode.OK
    assert "100%" in capsys.readouterr().err
    assert main(["rm", "toy", "--yes"]) == ExitCode.OK
    capsys.readouterr()
    assert pull(cloud, "toy", "--quiet") == ExitCode.OK
    assert capsys.readouterr().err == ""
    assert is_installed(home, cloud.directory)


def test_a_missing_library_is_named_as_the_index_has_it(
    home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["pull", "hub:acme/toy"]) == ExitCode.USAGE
    assert capsys.readouterr().err.endswith("not installed: pip install huggingface-hub\n")


def test_bad_names(home: Path, capsys: Captured) -> None:
    refused(main(["pull", "hub:x"]), capsys, "ORG/NAME", home, ExitCode.USAGE)
    assert not home.exists(), "something was left behind"


def test_two_pulls_at_once(cloud: PairCloud, home: Path, capsys: Captured) -> None:
    with alone("toy"):
        refused(pull(cloud, "toy"), capsys, "another pull", home)
    assert pull(cloud, "toy") == ExitCode.OK
    assert is_installed(home, cloud.directory)


def test_parts_that_a_killed_pull_left_are_deleted(cloud: PairCloud, home: Path) -> None:
    assert pull(cloud) == 0
    left = home / ".pulling" / "toy@0.9.0-abc"
    left.mkdir()
    with alone("toy"):
        # They may be what another pull is about to install.
        assert pull(cloud) == 0
        assert left.exists()
    assert pull(cloud) == 0
    assert not left.exists()


def test_a_larger_part_than_the_file_is_begun_anew(cloud: PairCloud, home: Path) -> None:
    cloud.cuts = [10] + [0] * 10
    assert pull(cloud, "toy") == ExitCode.UNREACHABLE
    (parts,) = (home / ".pulling").glob("toy@*")
    write_gguf(parts / "decoder" / "m.gguf", values=4096)
    cloud.cuts, cloud.offsets = [], []
    assert pull(cloud, "toy") == ExitCode.OK
    assert cloud.offsets == [0]
    assert is_installed(home, cloud.directory)


@pytest.fixture
def calibrated(tmp_path: Path, origin: Path) -> Path:
    """`origin`, with a calibration, signed again."""
    made = tmp_path / "made.json"
    made.write_text(calibration_for(load_manifest(origin)).to_json())
    add_calibration(origin, made)
    sign_pair(origin, KEY)
    return origin


def test_a_calibration_is_pulled_and_used(calibrated: Path, home: Path) -> None:
    with PairCloud(calibrated) as cloud:
        assert pull(cloud, "toy") == ExitCode.OK
    assert is_installed(home, calibrated)
    found = calibration_of(open_pair("toy"))
    assert found
    assert found.gate


def test_a_stale_one_of_the_user_gives_way_to_that_of_the_pair(
    calibrated: Path, home: Path
) -> None:
    with PairCloud(calibrated) as cloud:
        assert pull(cloud, "toy") == ExitCode.OK
    pair = open_pair("toy")
    own = calibration_for(pair.manifest).model_copy(update={"data": "own"})
    store(own, pair.manifest)
    assert calibration_of(pair) == own
    for stale in ({"pair": "toy@0.9.0"}, {"decoder_sha256": "0" * 64}):
        store(own.model_copy(update=stale), pair.manifest)
        notes: list[str] = []
        found = calibration_of(pair, notes.append)
        assert found
        assert found.data == "sums"
        [note] = notes
        assert note.startswith("your calibration is left out for that of the pair: ")
        assert "duet-device calibrate DATA --pair toy" in note


def test_an_altered_calibration_is_not_installed(
    calibrated: Path, home: Path, cloud: PairCloud, capsys: Captured
) -> None:
    path = calibrated / "calibration.json"
    path.write_text(path.read_text().replace("0.5", "0.0"))
    refused(pull(cloud, str(calibrated)), capsys, "sent what was not signed", home)


def test_one_that_was_altered_here_is_not_used(calibrated: Path, home: Path) -> None:
    with PairCloud(calibrated) as cloud:
        assert pull(cloud, "toy") == ExitCode.OK
    path = home / "toy" / "calibration.json"
    path.write_text(path.read_text().replace("0.5", "0.0"))
    with pytest.raises(ModelProblem, match="calibration"):
        calibration_of(open_pair("toy"))
