"""The command that makes the shipped pair: its plan, what is done of it, and what it packs."""

import json
import shutil
from pathlib import Path

import pytest

from duet_contract.integrity import sha256_of
from duet_contract.manifest import MANIFEST_NAME, load_manifest
from tests.doubles.small_pairs import write_pair
from training import shipped
from training.errors import DataError
from training.evaluate import EvaluationSettings
from training.export.settings import ExportSettings
from training.settings import Settings, compose_settings
from training.shipped import __main__ as command
from training.shipped.package import collect, package, renew_figures
from training.shipped.plan import HELD_OUT, Command, make_plan

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
    return make_plan(tmp_path, {"real": tmp_path / "real.jsonl"}, tmp_path / "python", "big-1b")


def test_every_command_takes_its_settings(plan):
    kinds = {
        "training.train": ("train", Settings),
        "training.evaluate": ("evaluate", EvaluationSettings),
        "training.export": ("export", ExportSettings),
    }
    seen = set()
    for each in plan:
        if each.module in kinds:
            overrides = [a for a in (*each.arguments, *each.told) if "=" in a]
            compose_settings(kinds[each.module][0], overrides, kinds[each.module][1])
            seen.add(each.module)
    assert seen == set(kinds)
    names = [each.name for each in plan]
    assert len(set(names)) == len(names)
    for data in HELD_OUT:
        assert {f"original on {data}", f"duet on {data}"} <= set(names)
    served = next(each for each in plan if each.name == "served")
    assert served.arguments[1:] == (
        "--set",
        f"real={served.leaves.parent}/real.jsonl",
        "--peer",
        "big-1b",
    )
    assert names[-1] == "wall clock"


def test_without_vllm_nothing_is_served(tmp_path, capsys):
    names = [each.name for each in make_plan(tmp_path, {}, None)]
    assert not {"served", "wall clock"} & set(names)
    (tmp_path / "real.jsonl").write_text("{}")
    assert command.main([str(tmp_path), "--real", str(tmp_path / "real.jsonl")]) == 1
    assert "need --serving-python" in capsys.readouterr().err


@pytest.fixture
def called(monkeypatch):
    """Names of the commands that are run; each leaves what it should."""
    called = []

    def leave(each, _logs):
        called.append(each.name)
        each.leaves.parent.mkdir(parents=True, exist_ok=True)
        each.leaves.touch()

    monkeypatch.setattr(command, "_run", leave)
    return called


def test_what_is_there_is_not_made_again(tmp_path, called, capsys):
    first, *rest = make_plan(tmp_path.resolve(), {}, None)
    first.leaves.parent.mkdir(parents=True)
    first.leaves.touch()
    assert command.main([str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("done   python -m") == 1
    assert command.main([str(tmp_path)]) == 0
    assert called == [each.name for each in rest]
    assert command.main([str(tmp_path)]) == 0
    assert len(called) == len(rest)


def _changed(monkeypatch, name, change):
    """The plan, with other arguments of one command."""

    def changed(*given):
        return [
            Command(**(vars(each) | {"arguments": change(each.arguments)}))
            if each.name == name
            else each
            for each in make_plan(*given)
        ]

    monkeypatch.setattr(command, "make_plan", changed)


def test_what_was_made_with_other_arguments_is_made_again(tmp_path, called, monkeypatch, capsys):
    assert command.main([str(tmp_path)]) == 0
    called.clear()
    _changed(monkeypatch, "data wide-long", lambda arguments: (*arguments, "--seed", "1"))
    assert command.main([str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("again  python -m training.data") == 1
    assert command.main([str(tmp_path)]) == 0
    assert called == ["data wide-long", "original on wide-long", "duet on wide-long"]


def test_what_all_rests_on_is_not_made_again(tmp_path, called, monkeypatch, capsys):
    assert command.main([str(tmp_path)]) == 0
    called.clear()
    _changed(monkeypatch, "joint training", lambda arguments: (*arguments, "seed=1"))
    assert command.main([str(tmp_path)]) == 1
    assert called == []
    assert "joint training was made with other arguments (seed=1)" in capsys.readouterr().err


def test_what_keeps_no_arguments_is_taken_as_it_is(tmp_path, called, monkeypatch):
    """A directory made before arguments were kept; and one that lies elsewhere now."""
    assert command.main([str(tmp_path / "a")]) == 0
    shutil.rmtree(tmp_path / "a" / "made")
    called.clear()
    assert command.main([str(tmp_path / "a")]) == 0
    (tmp_path / "a").rename(tmp_path / "b")
    assert command.main([str(tmp_path / "b"), "--serving-python", "/elsewhere/python"]) == 0
    assert called == ["served", "wall clock"]


def test_a_failed_command_is_one_line(tmp_path, monkeypatch, capsys):
    broken = shipped.plan.Command("broken", "training.data", ("nothing",), tmp_path / "never")
    monkeypatch.setattr(command, "make_plan", lambda *_: [broken])
    assert command.main([str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("training.shipped: broken failed: ")
    assert error.count("\n") == 1


def _finished(out: Path) -> None:
    (out / "evaluations").mkdir(parents=True)
    for method in ("original", "duet", "alone"):
        (out / "evaluations" / f"{method}@wide.json").write_text(json.dumps(EVALUATION))
    write_pair(out / "pair")
    reasoner = {"vllm": {"measured": False}}
    parity = {"data": {"questions": 500}, "reasoner": reasoner, "decoder": {"m": DECODER}}
    (out / "pair" / "parity.json").write_text(json.dumps(parity))
    (out / "run").mkdir()
    sample = {"question": "How many?", "answer": "2", "score": 1.0}
    rows = [sample | {"step": step, "signal": f"signal {step}"} for step in (1, 160)]
    (out / "run" / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_figures_that_are_missing_are_none(tmp_path):
    write_pair(tmp_path / "pair")
    assert collect(tmp_path) == {
        "evaluations": {},
        "served": None,
        "wall_clock": None,
        "parity": None,
        "samples": [],
    }


def test_sets_that_are_no_longer_evaluated_are_left_out(tmp_path):
    _finished(tmp_path)
    (tmp_path / "evaluations" / "duet@addsub.json").write_text(json.dumps(EVALUATION))
    assert list(collect(tmp_path)["evaluations"]) == ["wide"]


def test_figures_that_cannot_be_read_are_named(tmp_path):
    _finished(tmp_path)
    (tmp_path / "evaluations" / "duet@wide.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        collect(tmp_path)


@pytest.mark.parametrize("name", ["served.json", "wall_clock.json"])
def test_figures_of_another_pair_are_refused(tmp_path, name):
    _finished(tmp_path)
    (tmp_path / name).write_text(json.dumps({"pair_sha256": "0" * 64}))
    with pytest.raises(DataError, match=f"{name} was measured of another pair"):
        collect(tmp_path)


def test_a_pair_is_copied_whole_but_for_its_signature(tmp_path):
    out, into = tmp_path / "out", tmp_path / "into"
    _finished(out)
    (out / "pair" / "model.sig").write_text("signed")
    package(out, into)
    files = {path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()}
    assert files == {
        *("manifest.json", "decoder/m.gguf", "reasoner/a.json"),
        *("LICENSE", "README.md", "figures.json"),
    }
    for name in ("manifest.json", "decoder/m.gguf", "reasoner/a.json"):
        assert sha256_of(into / name) == sha256_of(out / "pair" / name)
    assert json.loads((into / "figures.json").read_text()) == collect(out)
    # Over an earlier one.
    (into / "old.txt").write_text("old")
    package(out, into)
    assert not (into / "old.txt").exists()


def test_nothing_but_a_pair_is_replaced(tmp_path):
    out, into = tmp_path / "out", tmp_path / "into"
    _finished(out)
    into.mkdir()
    (into / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="is no pair"):
        package(out, into)
    assert (into / "mine.txt").read_text() == "keep"


def test_figures_are_renewed_beside_the_same_weights(tmp_path, called, capsys):
    out, into = tmp_path / "out", tmp_path / "into"
    _finished(out)
    package(out, into)
    weights = (into / "decoder" / "m.gguf").stat()
    better = EVALUATION | {"accuracy": 0.971}
    (out / "evaluations" / "duet@wide.json").write_text(json.dumps(better))
    assert command.main([str(out), "--figures-into", str(into)]) == 0
    assert called == []
    assert "97.1%" in (into / "README.md").read_text()
    assert json.loads((into / "figures.json").read_text()) == collect(out)
    assert (into / "decoder" / "m.gguf").stat() == weights


def test_figures_of_another_manifest_are_not_written(tmp_path):
    out, into = tmp_path / "out", tmp_path / "into"
    _finished(out)
    package(out, into)
    before = (into / "README.md").read_text()
    manifest = into / MANIFEST_NAME
    manifest.write_text(manifest.read_text().replace("1.0.0", "1.0.1", 1))
    with pytest.raises(DataError, match="does not hold the pair"):
        renew_figures(out, into)
    with pytest.raises(DataError, match="does not hold the pair"):
        renew_figures(out, tmp_path / "nowhere")
    assert (into / "README.md").read_text() == before
    assert load_manifest(out / "pair").version == "1.0.0"
