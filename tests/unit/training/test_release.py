"""The command that builds the released pair: its plan, its progress, and its package."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from duet_contract.integrity import sha256_of
from duet_contract.manifest import MANIFEST_NAME, load_manifest
from duet_training.errors import DataError
from duet_training.evaluation.run import EvaluationSettings
from duet_training.export.settings import ExportSettings
from duet_training.release import release
from duet_training.release.package import collect, package, renew_figures, tell
from duet_training.release.stage import HELD_OUT, ReleaseStage
from duet_training.release.stories import make_plan
from duet_training.settings.compose import compose_settings
from duet_training.settings.run import Settings
from tests.doubles.commands import train_release
from tests.doubles.manifests import PRIVATE_PAIR
from tests.doubles.small_pairs import write_pair

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


def _composed(plan):
    """Settings of the commands that have such, by the command's name."""
    kinds = {
        "duet_training run": ("train", Settings),
        "duet_training evaluate": ("evaluate", EvaluationSettings),
        "duet_training export": ("export", ExportSettings),
    }
    found = {
        each.name: compose_settings(
            kinds[each.module][0],
            [a for a in (*each.arguments, *each.locations) if "=" in a],
            kinds[each.module][1],
        )
        for each in plan
        if each.module in kinds
    }
    assert {each.module for each in plan if each.name in found} == set(kinds)
    return found


def test_every_command_takes_its_settings(plan):
    assert _composed(plan)["joint training"].lora.reasoner.rank == 0
    names = [each.name for each in plan]
    assert len(set(names)) == len(names)
    for data in HELD_OUT:
        assert {f"original on {data}", f"duet on {data}"} <= set(names)
    served = next(each for each in plan if each.name == "served")
    assert served.arguments[1:] == (
        "--set",
        f"real={served.output.parent}/real.jsonl",
        "--peer",
        "big-1b",
    )
    assert names[-1] == "wall clock"


def test_a_private_pair_is_trained_packed_built_and_measured(tmp_path, capsys):
    given = ["--pair", "private-sums-135m", "--base", "b", "--worked", "w.jsonl", "--into", "i"]
    given += ["--serving-python", "p", "--dry-run"]
    real = tmp_path / "real.jsonl"
    real.write_text('{"question": "1+1?", "answer": "2"}')
    assert train_release([str(tmp_path), *given, "--real", str(real)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("python -m ")[1].split(" ")[:3][-1] for line in lines] == [
        "formulas", "build", "formula-accuracy", "solutions", "build", "served", "wall-clock",
    ]  # fmt: skip
    assert f"--into {Path('i').resolve()}" in lines[0]
    assert lines[2].endswith(f"--results {tmp_path / 'accuracy.json'}")
    assert f"--peer {tmp_path / 'peer' / 'pair'}" in lines[5]
    assert f"--data {real}" in lines[6]
    assert train_release([str(tmp_path), *given]) == 0
    assert "--data" not in capsys.readouterr().out


def test_a_private_pair_needs_its_inputs(tmp_path, capsys):
    assert train_release([str(tmp_path), "--pair", "private-sums-135m"]) == 1
    assert "needs --base, --worked, --into and --serving-python" in capsys.readouterr().err
    write_pair(tmp_path / "big")
    peer = ["--peer", str(tmp_path / "big"), "--serving-python", "p"]
    assert train_release([str(tmp_path), "--pair", "private-sums-135m", *peer]) == 1
    assert "leave --peer out" in capsys.readouterr().err


def test_without_vllm_nothing_is_served(tmp_path, capsys):
    names = [each.name for each in make_plan(tmp_path, {}, None)]
    assert not {"served", "wall clock"} & set(names)
    (tmp_path / "real.jsonl").write_text("{}")
    assert train_release([str(tmp_path), "--real", str(tmp_path / "real.jsonl")]) == 1
    assert "need --serving-python" in capsys.readouterr().err


@pytest.fixture
def called(monkeypatch):
    """Names of the commands that are run; each leaves what it should."""
    called = []

    def leave(each, *_):
        called.append(each.name)
        each.output.parent.mkdir(parents=True, exist_ok=True)
        each.output.touch()

    monkeypatch.setattr(release, "_run", leave)
    return called


def test_what_is_there_is_not_made_again(tmp_path, called, capsys):
    first, *rest = make_plan(tmp_path.resolve(), {}, None)
    first.output.parent.mkdir(parents=True)
    first.output.touch()
    assert train_release([str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("done   python -m") == 1
    assert train_release([str(tmp_path)]) == 0
    assert called == [each.name for each in rest]
    assert train_release([str(tmp_path)]) == 0
    assert len(called) == len(rest)


def _changed(monkeypatch, name, change):
    """The plan, with other arguments of one command."""

    def changed(*given):
        return [
            ReleaseStage(**(vars(each) | {"arguments": change(each.arguments)}))
            if each.name == name
            else each
            for each in make_plan(*given)
        ]

    monkeypatch.setattr(release.stories, "make_plan", changed)


def test_what_was_made_with_other_arguments_is_made_again(tmp_path, called, monkeypatch, capsys):
    assert train_release([str(tmp_path)]) == 0
    called.clear()
    _changed(monkeypatch, "data wide-long", lambda arguments: (*arguments, "--seed", "1"))
    assert train_release([str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("again  python -m duet_training data") == 1
    assert train_release([str(tmp_path)]) == 0
    assert called == ["data wide-long", "original on wide-long", "duet on wide-long"]


def test_what_all_rests_on_is_not_made_again(tmp_path, called, monkeypatch, capsys):
    assert train_release([str(tmp_path)]) == 0
    called.clear()
    _changed(monkeypatch, "joint training", lambda arguments: (*arguments, "seed=1"))
    assert train_release([str(tmp_path)]) == 1
    assert called == []
    assert "joint training was made with other arguments (seed=1)" in capsys.readouterr().err


def test_what_keeps_no_arguments_is_taken_as_it_is(tmp_path, called, monkeypatch):
    """A directory without stored arguments; and one that was moved."""
    assert train_release([str(tmp_path / "a")]) == 0
    shutil.rmtree(tmp_path / "a" / "made")
    called.clear()
    assert train_release([str(tmp_path / "a")]) == 0
    (tmp_path / "a").rename(tmp_path / "b")
    assert train_release([str(tmp_path / "b"), "--serving-python", "/elsewhere/python"]) == 0
    assert called == ["served", "wall clock"]


def test_a_failed_command_is_one_line(tmp_path, monkeypatch, capsys):
    broken = ReleaseStage("broken", "duet_training data prepare", ("nothing",), tmp_path / "never")
    monkeypatch.setattr(release.stories, "make_plan", lambda *_: [broken])
    assert train_release([str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: broken failed: ")
    assert error.count("\n") == 1


def _finished(out: Path) -> None:
    (out / "evaluations").mkdir(parents=True)
    for method in ("original", "duet", "alone"):
        (out / "evaluations" / f"{method}@wide.json").write_text(json.dumps(EVALUATION))
    write_pair(out / "pair")
    reasoner = {"vllm": {"measured": False}}
    compared = {"questions": 500, "source": "stories:wide-other"}
    parity = {"data": compared, "reasoner": reasoner, "decoder": {"m": DECODER}}
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
        "signals": None,
        "samples": [],
    }


def test_figures_that_cannot_be_read_are_named(tmp_path):
    _finished(tmp_path)
    (tmp_path / "evaluations" / "duet@wide.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        collect(tmp_path)


@pytest.mark.parametrize("name", ["served.json", "wall_clock.json"])
def test_figures_of_another_pair_are_refused(tmp_path, name):
    _finished(tmp_path)
    (tmp_path / name).write_text(json.dumps({"pair_sha256": "0" * 64}))
    with pytest.raises(DataError, match=f"{name} was measured with another pair"):
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
    with pytest.raises(DataError, match="is not a pair"):
        package(out, into)
    assert (into / "mine.txt").read_text() == "keep"


def test_figures_are_renewed_beside_the_same_weights(tmp_path, called, capsys):
    out, into = tmp_path / "out", tmp_path / "into"
    _finished(out)
    package(out, into)
    weights = (into / "decoder" / "m.gguf").stat()
    better = EVALUATION | {"accuracy": 0.971}
    (out / "evaluations" / "duet@wide.json").write_text(json.dumps(better))
    assert train_release([str(out), "--figures-into", str(into)]) == 0
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


@pytest.fixture
def private(tmp_path):
    """A finished build of a pair that computes."""
    out = tmp_path / "out"
    write_pair(out / "pair")
    manifest = out / "pair" / MANIFEST_NAME
    content = json.loads(manifest.read_text())
    content |= PRIVATE_PAIR
    manifest.write_text(json.dumps(content | {"id": "private-sums-135m"}))
    (out / "start" / "state").mkdir(parents=True)
    for role, steps in (("reasoner", 2300), ("decoder", 900)):
        torch.save({"step": steps}, out / "start" / "state" / f"{role}.pt")
    return out


def _set(accuracy: float, *, sent: float = 0.0) -> dict[str, object]:
    found = {"questions": 200, "failures": {}, "accuracy": accuracy, "large_tokens": 6.25}
    found["accuracy_95"] = [accuracy - 0.05, accuracy + 0.05]
    marked = {"right": 100, "right_marked": 7, "wrong": 100, "wrong_marked": 61}
    compared = {"difference": 0.02, "difference_95": [-0.015, 0.055]}
    return {
        "questions": 200,
        "split": found,
        "peer": found | {"large_tokens": 50.0} | compared,
        "device": found | {"accuracy": 0.03, "accuracy_95": [0.01, 0.06]},
        "marked_low": marked,
        "numbers_sent": sent,
        "answer_in_signal": {"signals": 200, "stated": 1},
        "generated": False,
    }


def test_marks_of_a_private_pair_are_on_its_page(private, tmp_path):
    (tmp_path / "into").mkdir()
    served = {
        "pair_sha256": sha256_of(private / "pair" / MANIFEST_NAME),
        "peer": None,
        "sets": {"multiarith": _set(0.7)},
    }
    (private / "served.json").write_text(json.dumps(served))
    judged = {
        "questions": 348,
        "right": {"value": 0.655},
        "auroc": {"value": 0.7449},
        "ece": 0.04,
        "marked": 0.5,
        "right_unmarked": {"value": 0.983},
        "right_surer_half": {"value": 0.91},
    }
    unknown = judged | {"auroc": None, "ece": None, "right_unmarked": None}
    marks = {"fitted_on": "sums.jsonl", "marks": {"multiarith": judged, "real": unknown}}
    (private / "marks.json").write_text(json.dumps(marks))
    tell(private, tmp_path / "into")
    page = (tmp_path / "into" / "README.md").read_text()
    assert "AUROC at least 0.75 | 0.74 (348 questions) | missed" in page
    assert "fitted on `sums.jsonl`" in page
    assert "| `multiarith` | 348 | 65.5% | 0.74 | 0.040 | 50% | 98.3% | 91.0% |" in page
    assert "| all sets of real questions | 348 | 65.5% |  |  | 50% |  | 91.0% |" in page


def test_figures_of_a_private_pair_lie_beside_its_parts(private, tmp_path):
    into = tmp_path / "into"
    into.mkdir()
    (into / "adapter").touch()
    tell(private, into)
    assert "not measured as served" in (into / "README.md").read_text()
    served = {
        "pair_sha256": sha256_of(private / "pair" / MANIFEST_NAME),
        "peer": "solutions-135m@0.1.0",
        "sets": {"problems": _set(0.94), "multiarith": _set(0.7, sent=0.5)},
        "out_of_domain": {"questions": 60, "answered": 60, "marked": 58},
    }
    (private / "served.json").write_text(json.dumps(served))
    accuracy = {"sets": [{"set": "multiarith", "questions": 90, "auroc_checks": 0.84}]}
    (private / "accuracy.json").write_text(json.dumps(accuracy))
    tell(private, into)
    page = (into / "README.md").read_text()
    assert "trained templates: at least 93% | 94.0% (89.0% to 99.0%) | met" in page
    assert "`multiarith`: at least 82% | 70.0% (65.0% to 75.0%) | missed" in page
    assert "AUROC at least 0.75 | 0.84 (90 questions) | met" in page
    assert "over all 400 questions: 100." in page
    assert "contain the right answer: 2 of 400 (0.50%)" in page
    assert "3.0% (1.0% to 6.0%)" in page
    assert "it refuses or marks 58." in page
    assert "2,300 steps of the adapter and 900 of the decoder" in page
    assert "of the peer: at most 0.25 | 0.12 (6.2 of 50.0) | met" in page
    assert "above -2 points | least lower bound -1.5 points | met" in page
    assert "+2.0 (-1.5 to +5.5)" in page
    assert "--real multiarith.jsonl" in page
    assert "## Marks" not in page
    figures = json.loads((into / "figures.json").read_text())
    assert figures["steps"] == {"reasoner": 2300, "decoder": 900}
    assert sorted(path.name for path in into.iterdir()) == [
        "LICENSE",
        "README.md",
        "adapter",
        "figures.json",
    ]
