import copy
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.errors import ManifestError
from duet_contract.manifest import (
    MANIFEST_NAME,
    PRIVATE_SCHEMA,
    SCHEMA,
    load_manifest,
    parse_manifest,
)
from tests.doubles.manifests import manifest_data


def test_reads_and_writes_back_the_same():
    manifest = parse_manifest(json.dumps(manifest_data()))
    assert parse_manifest(manifest.to_json()) == manifest
    assert manifest.reference == "toy@1.2.3"
    assert manifest.shared_vocabulary


@pytest.mark.parametrize(
    ("reference", "match"),
    [("toy", True), ("toy@1.2.3", True), ("toy@1.2.4", False), ("to", False), ("", False)],
)
def test_matches(reference, match):
    assert parse_manifest(json.dumps(manifest_data())).matches(reference) is match


def test_newer_schema_says_to_upgrade():
    newer = PRIVATE_SCHEMA + 1
    with pytest.raises(ManifestError, match=f"schema {newer}.*upgrade"):
        parse_manifest(json.dumps(manifest_data(schema=newer, unheard_of=True)))


def test_a_manifest_that_version_0_2_0_released_is_read():
    manifest = load_manifest(Path(__file__).with_name("released_0.2.0"))
    assert manifest.reference == "stories-5m@1.1.0"
    assert parse_manifest(manifest.to_json()) == manifest


def test_private_quantities_and_computed_answers():
    private = {"quantities": "private", "answers": "computed", "schema": PRIVATE_SCHEMA}
    manifest = parse_manifest(json.dumps(manifest_data(**private)))
    assert (manifest.quantities, manifest.answers) == ("private", "computed")
    assert parse_manifest(manifest.to_json()) == manifest
    read = parse_manifest(json.dumps(manifest_data(**(private | {"answers": None}))))
    assert read.answers is None


def test_other_pairs_are_written_as_older_readers_read_them():
    written = json.loads(parse_manifest(json.dumps(manifest_data())).to_json())
    assert written["schema"] == SCHEMA == 1
    assert not {"quantities", "answers"} & set(written)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantities": "private"}, f"needs schema {PRIVATE_SCHEMA}"),
        ({"quantities": "private", "schema": PRIVATE_SCHEMA - 1}, "build the pair again"),
        ({"answers": "computed", "schema": PRIVATE_SCHEMA}, 'needs quantities "private"'),
        ({"quantities": "secret", "schema": PRIVATE_SCHEMA}, "quantities"),
        ({"answers": "guessed", "quantities": "private", "schema": PRIVATE_SCHEMA}, "answers"),
    ],
)
def test_private_quantities_that_cannot_be(fields, message):
    with pytest.raises(ManifestError, match=message):
        parse_manifest(json.dumps(manifest_data(**fields)))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": "1"}', '"x"'])
def test_not_a_manifest(text):
    with pytest.raises(ManifestError):
        parse_manifest(text, "somewhere")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("schema",), 0, "schema"),
        (("id",), "../up", "id"),
        (("version",), "1.2", "version"),
        (("unknown",), 1, "unknown"),
        (("defaults", "budget"), 41, "defaults.budget is above limits.budget"),
        (("defaults", "answer"), 31, "defaults.answer is above limits.answer"),
        (("limits", "question"), 90, "do not fit into reasoner.context"),
        (("limits", "budget"), 0, "limits.budget"),
        (("reasoner", "prompt"), [{"template": "x"}], "each of .'question'."),
        (("decoder", "path"), "other.gguf", "not among decoder.files"),
        (
            ("decoder", "prompt_with_signal"),
            [{"slot": "signal"}, {"slot": "question"}],
            "question first",
        ),
        (("decoder", "end_of_answer"), [], "end_of_answer"),
        (("decoder", "vocabulary", "reserved"), ["x"], "reserved"),
    ],
)
def test_faults_are_named(where, value, message):
    data = copy.deepcopy(manifest_data())
    place = data
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    with pytest.raises(ManifestError, match=message):
        parse_manifest(json.dumps(data))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "", "a\\b", "C:/x", "a\0b", ".."]
)
def test_paths_stay_inside_the_pair(path):
    data = copy.deepcopy(manifest_data())
    data["reasoner"]["files"][0]["path"] = path
    with pytest.raises(ManifestError, match="relative path inside"):
        parse_manifest(json.dumps(data))


@given(st.text(alphabet=st.sampled_from("./\\:aB\0 ~"), max_size=12))
def test_no_path_that_is_taken_leaves_the_pair_or_is_written_in_two_ways(path):
    data = manifest_data()
    data["reasoner"]["files"][0]["path"] = path
    try:
        parse_manifest(json.dumps(data))
    except ManifestError:
        return
    root = Path("/pairs/toy")
    assert Path(os.path.normpath(root / path)) == root / path
    assert (root / path).is_relative_to(root)
    assert root / path != root


@pytest.mark.parametrize("path", ["manifest.json", "model.sig", "Manifest.JSON"])
def test_a_file_in_the_place_of_manifest_or_signature(path):
    data = manifest_data()
    data["reasoner"]["files"][0]["path"] = path
    with pytest.raises(ManifestError, match="own name"):
        parse_manifest(json.dumps(data))


def test_a_file_listed_twice():
    data = manifest_data()
    data["reasoner"]["files"] *= 2
    with pytest.raises(ManifestError, match="listed twice"):
        parse_manifest(json.dumps(data))


def test_load_names_the_file(tmp_path):
    with pytest.raises(ManifestError, match=MANIFEST_NAME):
        load_manifest(tmp_path)
    (tmp_path / MANIFEST_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match=MANIFEST_NAME):
        load_manifest(tmp_path)
