"""A pair's models on a local hub with the interface of Hugging Face's."""

import hashlib
import json

import pytest
from huggingface_hub import constants

from tests.doubles.commands import train_export
from tests.doubles.commands import train_push as main
from tests.doubles.manifests import manifest_data
from tests.doubles.writable_hub import WritableHub


@pytest.fixture
def hub(monkeypatch):
    with WritableHub("secret") as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        yield hub


@pytest.fixture
def pair(tmp_path):
    """An exported pair as far as its files go, with the decoder kept."""
    data = manifest_data()
    for part in ("reasoner", "decoder"):
        (file,) = data[part]["files"]
        content = f"weights of the {part}".encode()
        path = tmp_path / "pair" / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        file |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / "pair/manifest.json").write_text(json.dumps(data))
    (tmp_path / "pair/merged/decoder").mkdir(parents=True)
    (tmp_path / "pair/merged/decoder/config.json").write_text("{}")
    return tmp_path / "pair"


def test_each_model_is_a_repository_that_its_programs_load(hub, pair, capsys):
    assert main([str(pair), "we/trained"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pushed we/trained",
        "pushed we/trained-reasoner",
        "pushed we/trained-decoder",
    ]
    assert {name: set(files) for name, files in hub.files.items()} == {
        "we/trained": {"manifest.json", "reasoner/a.json", "decoder/m.gguf"},
        "we/trained-reasoner": {"a.json"},
        "we/trained-decoder": {"config.json"},
    }
    assert hub.files["we/trained-reasoner"]["a.json"] == b"weights of the reasoner"
    assert set(hub.private.values()) == {True}


def test_a_second_push_adds_a_commit_to_the_same_repositories(hub, pair):
    assert main([str(pair), "we/trained", "--public"]) == 0
    assert main([str(pair), "we/trained"]) == 0
    assert set(hub.private.values()) == {False}


def _refused(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_hub_that_refuses_is_one_line(hub, pair, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "another")
    assert main([str(pair), "we/trained"]) == 1
    error = _refused(capsys)
    assert error.startswith("duet-train: cannot push to we/trained: ")
    assert error.endswith(f"duet-train push {pair} we/trained\n")
    assert hub.files == {}


def test_a_hub_that_cannot_be_reached_is_one_line(hub, pair, monkeypatch, capsys):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert main([str(pair), "we/trained"]) == 1
    assert "cannot push to we/trained: " in _refused(capsys)


@pytest.mark.parametrize("name", ["trained", "we/t/rained", "we/tra ined"])
def test_a_name_is_checked_before_anything_is_done(hub, pair, tmp_path, name, capsys):
    assert main([str(pair), name]) == 1
    assert "is not a hub repository" in _refused(capsys)
    assert train_export([str(tmp_path / "run"), str(tmp_path / "out"), "--push", name]) == 1
    assert "is not a hub repository" in _refused(capsys)
    assert hub.files == {}


def test_a_pair_that_is_not_whole_is_not_pushed(hub, pair, capsys):
    (pair / "decoder/m.gguf").write_bytes(b"other")
    assert main([str(pair), "we/trained"]) == 1
    assert f"cannot push {pair}: " in _refused(capsys)
    assert hub.files == {}
