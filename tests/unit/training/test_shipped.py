"""The command that makes the shipped pair: its plan, what it packs, and the page it writes."""

import json
from pathlib import Path

import pytest

from duet_contract.manifest import parse_manifest
from tests.doubles.manifests import manifest_data
from training import shipped
from training.errors import DataError
from training.evaluate import EvaluationSettings
from training.export.settings import ExportSettings
from training.pair import read_pair
from training.settings import Settings, compose_settings
from training.shipped import __main__ as command
from training.shipped.package import collect, package
from training.shipped.page import write_page
from training.shipped.peer import peer_name, write_peer
from training.shipped.plan import HELD_OUT, NAME, make_plan

EVALUATION = {
    "data": "stories:wide",
    "questions": 1000,
    "accuracy": 0.961,
    "accuracy_95": [0.95, 0.97],
    "reasoner_tokens": 24.4,
    "decoder_tokens": 14.0,
    "seconds": 3.0,
}
DECODER = {
    "mean_kl": 1e-6,
    "greedy_agreement": 0.998,
    "confidence": {"threshold": 0.61, "right_marked": 0.05, "wrong_marked": 0.4},
}


@pytest.fixture
def plan(tmp_path):
    return make_plan(tmp_path, [tmp_path / "real.jsonl"], tmp_path / "python", peer=True)


def test_every_command_takes_its_settings(plan):
    kinds = {
        "training.train": ("train", Settings),
        "training.evaluate": ("evaluate", EvaluationSettings),
        "training.export": ("export", ExportSettings),
    }
    seen = set()
    for each in plan:
        if each.module in kinds:
            overrides = [a for a in each.arguments if "=" in a]
            compose_settings(kinds[each.module][0], overrides, kinds[each.module][1])
            seen.add(each.module)
    assert seen == set(kinds)
    names = [each.name for each in plan]
    assert len(set(names)) == len(names)
    for data in (*HELD_OUT, "real"):
        assert {f"original on {data}", f"duet on {data}"} <= set(names)
    assert {"peer on real", "wall clock"} <= set(names)


def test_what_is_there_is_not_made_again(plan, tmp_path, monkeypatch, capsys):
    called = []
    monkeypatch.setattr(command, "_run", lambda each, _logs: called.append(each.name))
    first = plan[0]
    first.leaves.parent.mkdir(parents=True)
    first.leaves.touch()
    assert command.main([str(tmp_path)]) == 0
    assert called[0] == plan[1].name
    assert first.name not in called
    assert command.main([str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("done   python -m") == 1


def test_a_failed_command_is_one_line(tmp_path, monkeypatch, capsys):
    broken = shipped.plan.Command("broken", "training.data", ("nothing",), tmp_path / "never")
    monkeypatch.setattr(command, "make_plan", lambda *_, **__: [broken])
    assert command.main([str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("training.shipped: broken failed: ")
    assert error.count("\n") == 1


def _manifest():
    data = manifest_data()
    data["decoder"]["path"] = "decoder/model.Q8_0.gguf"
    data["decoder"]["files"][0]["path"] = "decoder/model.Q8_0.gguf"
    return parse_manifest(json.dumps(data))


def _finished(out: Path) -> None:
    (out / "evaluations").mkdir(parents=True)
    for method in ("original", "duet", "alone"):
        (out / "evaluations" / f"{method}@wide.json").write_text(json.dumps(EVALUATION))
    (out / "pair").mkdir()
    reasoner = {"vllm": {"measured": False}}
    parity = {"reasoner": reasoner, "decoder": {"Q8_0": DECODER}}
    (out / "pair" / "parity.json").write_text(json.dumps(parity))
    (out / "run").mkdir()
    sample = {"question": "How many?", "answer": "2", "score": 1.0}
    rows = [sample | {"step": step, "signal": f"signal {step}"} for step in (1, 160)]
    (out / "run" / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_page_says_what_was_measured(tmp_path):
    _finished(tmp_path)
    text = write_page(_manifest(), collect(tmp_path))
    assert "96.1% (95.0% to 97.0%), 24 tokens" in text
    assert "40% of the wrong ones" in text
    assert "`signal 1`; at the last: `signal 160`" in text
    assert "99.8% of the prompts" in text


def test_a_peer_has_a_column(tmp_path):
    _finished(tmp_path)
    (tmp_path / "peer.name").write_text("big-1b")
    for method, count in (("original", 348), ("peer", 100)):
        row = EVALUATION | {"questions": count, "accuracy": 0.02}
        (tmp_path / "evaluations" / f"{method}@multiarith.json").write_text(json.dumps(row))
    text = write_page(_manifest(), collect(tmp_path))
    assert "| decoder by itself | reasoner of `big-1b` |" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| `multiarith` | 348 |")]
    assert row.endswith("| 2.0% (95.0% to 97.0%), 24 tokens; first 100 |")
    # The command that makes this page asks those questions, too.
    assert "--real multiarith.jsonl" in text


def test_the_page_tells_seconds(tmp_path):
    _finished(tmp_path)
    both = {"seconds": {"median": 1.25, "least": 1.0, "most": 2.0}, "accuracy": 0.95}
    (tmp_path / "wall_clock.json").write_text(
        json.dumps(
            {
                "questions": 60,
                "repeats": 5,
                "machine": {"cpu": "abacus", "cores": 2},
                "engines": {"split": ["--dtype", "float32"]},
                "share_of_seconds": {"median": 0.3, "least": 0.25, "most": 0.5},
                "split": both | {"reasoner_tokens": 16.0},
                "original": both | {"reasoner_tokens": 122.0},
            }
        )
    )
    text = write_page(_manifest(), collect(tmp_path))
    assert "repeat by repeat: 0.30 (0.25 to 0.50)" in text
    assert "| split | 1.2 s (1.0 to 2.0) | 95.0% | 16.0 |" in text


def test_a_peer_is_read_as_the_trainer_reads_pairs(tmp_path):
    pair = tmp_path / "pair"
    pair.mkdir()
    (pair / "manifest.json").write_text(json.dumps(manifest_data()))
    write_peer(pair, tmp_path / "out" / "peer.yaml")
    read, manifest = (
        read_pair(tmp_path / "out" / "peer.yaml"),
        parse_manifest(json.dumps(manifest_data())),
    )
    assert read.reasoner.path == (pair / manifest.reasoner.path).resolve()
    assert read.reasoner.prompt == manifest.reasoner.prompt
    assert peer_name(tmp_path / "out" / "peer.yaml") == manifest.id
    assert read.reasoner.end_of_reasoning == manifest.reasoner.end_of_reasoning


def test_missing_figures_are_named(tmp_path):
    with pytest.raises(DataError, match="lacks figures"):
        collect(tmp_path)


def test_nothing_but_a_pair_is_replaced(tmp_path, monkeypatch):
    out, into = tmp_path / "out", tmp_path / "into"
    _finished(out)
    into.mkdir()
    (into / "mine.txt").write_text("keep")
    monkeypatch.setattr("training.shipped.package.verify_files", lambda *_, **__: None)
    monkeypatch.setattr(
        "training.shipped.package.load_manifest",
        lambda _: parse_manifest(json.dumps(manifest_data())),
    )
    with pytest.raises(DataError, match="is no pair"):
        package(out, into)
    assert (into / "mine.txt").read_text() == "keep"
    assert NAME == "stories-5m"
