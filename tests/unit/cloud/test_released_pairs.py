"""Pairs of the package `duet_pairs`: found, checked, copied whole, signed for this machine."""

import base64
import json

import pytest

from duet_cloud.errors import Exit, PairBuildError
from duet_cloud.pairs import released
from duet_cloud.pairs.build import build_pair
from duet_cloud.pairs.recipe import load_recipe
from duet_contract.builder import builder_key
from duet_contract.keys import fingerprint, public_bytes
from duet_contract.manifest import MANIFEST_NAME, SIGNATURE_NAME, load_manifest
from duet_contract.pairs import find_pair
from duet_contract.signature import verify_signature
from tests.doubles.commands import cloud_pairs as main
from tests.doubles.small_pairs import calibration_for, write_pair


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(released, "_home", lambda: tmp_path / "code")
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path / "installed"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write_pair(tmp_path / "code" / "toy")
    (tmp_path / "code" / "toy" / "README.md").write_text("what it answers")
    (tmp_path / "code" / "toy" / "figures.json").write_text("{}")
    return tmp_path


def test_a_released_pair_is_listed_with_the_recipes(home, capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"toy: {released.released_manifest('toy').description}"
    assert any(line.startswith("smollm2-135m: ") for line in lines)


def test_it_is_installed_and_signed_by_this_machine(home, capsys):
    assert main(["build", "toy"]) == 0
    pair = find_pair("toy")
    assert pair == home / "installed" / "toy"
    signature, key = (pair / SIGNATURE_NAME).read_bytes(), public_bytes(builder_key())
    manifest = (pair / MANIFEST_NAME).read_bytes()
    assert verify_signature(manifest, load_manifest(pair), signature, [key]) == key
    assert (pair / "README.md").read_text() == "what it answers"
    assert not (pair / "figures.json").exists()
    assert [path.name for path in pair.parent.iterdir()] == ["toy"], "a scratch directory is left"


def test_another_version_takes_its_place_and_the_same_one_is_left(home, capsys):
    assert main(["build", "toy"]) == 0
    installed = home / "installed" / "toy"
    (installed / "README.md").write_text("as it was")
    assert main(["build", "toy", "--if-missing"]) == 0
    assert (installed / "README.md").read_text() == "as it was"
    manifest = home / "code" / "toy" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.1.0"', 1))
    assert main(["build", "toy", "--if-missing"]) == 0
    assert (installed / "README.md").read_text() == "what it answers"
    assert "toy@1.1.0 is ready" in capsys.readouterr().out


def test_an_altered_file_is_not_installed(home, capsys):
    (home / "code" / "toy" / "reasoner" / "a.json").write_text("[]")
    assert main(["build", "toy"]) != 0
    assert "toy cannot be installed" in capsys.readouterr().err
    assert list((home / "installed").glob("*")) == []


def test_a_copy_that_cannot_be_written(home):
    (home / "installed").write_text("a file where the directory should be")
    with pytest.raises(PairBuildError, match="cannot write"):
        released.install_released("toy", home / "installed" / "toy")


def _other(directory, manifest=None):
    (directory / "other").mkdir(parents=True)
    (directory / "other" / "thesis.txt").write_text("years of work")
    if manifest is not None:
        (directory / "manifest.json").write_text(manifest)
    return directory


def _kept(directory):
    return (directory / "other" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("manifest", [None, "[]", "no json", '{"manifest_version": 3}'])
def test_what_is_no_pair_is_not_replaced(home, capsys, manifest):
    target = _other(home / "mine", manifest)
    assert main(["build", "toy", "--out", str(target)]) == Exit.MODEL
    error = capsys.readouterr().err
    assert f"{target} holds" in error
    assert error.count("\n") == 1
    assert _kept(target)
    assert [path.name for path in home.glob(".*")] == [], "a scratch directory is left"


def test_nothing_is_built_for_a_target_that_is_no_pair(home):
    target = _other(home / "mine")
    with pytest.raises(PairBuildError, match="is not a pair"):
        build_pair(load_recipe("smollm2-135m"), target, report=pytest.fail)
    assert _kept(target)


def test_the_directory_of_all_pairs_is_not_replaced(home, capsys):
    assert main(["build", "toy"]) == 0
    assert main(["build", "toy", "--out", str(home / "installed")]) == Exit.MODEL
    assert find_pair("toy") == home / "installed" / "toy"


def test_an_earlier_pair_of_whichever_schema_and_an_empty_directory_are_replaced(home):
    (home / "empty").mkdir()
    earlier = _other(home / "earlier", '{"schema": 99, "reasoner": 1, "decoder": 2}')
    for target in (home / "empty", earlier):
        assert main(["build", "toy", "--out", str(target)]) == 0
        assert load_manifest(target).id == "toy"
    assert not (earlier / "other").exists()


def test_the_directory_one_is_in(home, monkeypatch, capsys):
    (home / "here").mkdir()
    monkeypatch.chdir(home / "here")
    assert main(["build", "toy", "--out", "."]) == 0
    assert load_manifest(home / "here").id == "toy"


def test_a_calibration_becomes_a_signed_part_of_it(home, capsys):
    made = home / "made.json"
    made.write_text(calibration_for(released.released_manifest("toy")).to_json())
    assert main(["build", "toy", "--calibration", str(made)]) == 0
    pair = find_pair("toy")
    manifest, key = load_manifest(pair), public_bytes(builder_key())
    assert manifest.calibration in manifest.files
    signature = (pair / SIGNATURE_NAME).read_bytes()
    content = (pair / MANIFEST_NAME).read_bytes()
    assert verify_signature(content, manifest, signature, [key]) == key
    capsys.readouterr()
    assert main(["check", "toy"]) == 0
    assert f"its publisher's fingerprint: {fingerprint(key)}\n" in capsys.readouterr().out
    # A released pair that has one is installed with it.
    directory = home / "code" / "toy"
    (directory / "calibration.json").write_bytes((pair / "calibration.json").read_bytes())
    (directory / MANIFEST_NAME).write_bytes(content)
    assert main(["build", "toy"]) == 0
    assert load_manifest(find_pair("toy")).calibration == manifest.calibration
    (find_pair("toy") / "calibration.json").write_text("{}")
    assert main(["check", "toy"]) != 0


def test_a_signature_is_checked_with_the_files(home, capsys):
    assert main(["build", "toy"]) == 0
    file = find_pair("toy") / SIGNATURE_NAME
    signed = file.read_bytes()
    for changed in (b"{}", signed[:-20]):
        file.write_bytes(changed)
        assert main(["check", "toy"]) == 6
        assert capsys.readouterr().err.startswith("duet-cloud: ")
    # As version 0.2.0 signed: with no key in it.
    bundle = json.loads(signed)
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    del statement["predicate"]["publicKey"]
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    bundle["dsseEnvelope"]["payload"] = payload
    bundle["verificationMaterial"]["publicKey"]["hint"] = "ab" * 32
    file.write_text(json.dumps(bundle))
    capsys.readouterr()
    assert main(["check", "toy"]) == 0
    assert f"{'ab' * 32} (not checked" in capsys.readouterr().out
    file.unlink()
    assert main(["check", "toy"]) == 0
    assert "it is not signed" in capsys.readouterr().out


def test_a_calibration_of_another_quantization_is_not_built_in(home, capsys):
    made = home / "made.json"
    foreign = calibration_for(released.released_manifest("toy"))
    made.write_text(foreign.model_copy(update={"decoder_sha256": "0" * 64}).to_json())
    assert main(["build", "toy", "--calibration", str(made)]) != Exit.OK
    assert "duet-device calibrate DATA --pair toy" in capsys.readouterr().err
    assert not (home / "installed" / "toy").exists()
