"""What the bench measures of the released pair: seconds in turns, and whole sets as served."""

import json
import sys
from pathlib import Path

import pytest

from duet_contract.integrity import sha256_of
from duet_training.errors import DataError
from duet_training.release import bench, served, wall_clock
from duet_training.release.package import package
from duet_training.release.stage import HELD_OUT, PRIVATE_HELD_OUT
from tests.doubles.bench import ScriptedBench
from tests.doubles.commands import train_served, train_wall_clock
from tests.doubles.manifests import PRIVATE_PAIR
from tests.doubles.small_pairs import write_pair

PYTHON = Path(sys.executable)
# Of each generated set; a release has 500.
QUESTIONS = 60


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """A built pair in `out`, its start, and a bench that answers at once."""
    out = tmp_path / "out"
    write_pair(out / "pair")
    (out / "start" / "reasoner").mkdir(parents=True)
    (out / "start" / "reasoner" / "a.json").write_text('{"before": 1}')
    scripted = ScriptedBench(tmp_path / "bench")
    monkeypatch.setattr(bench, "_BENCH", str(scripted.script))
    monkeypatch.setattr(wall_clock, "REPEATS", 2)
    monkeypatch.setattr(served, "QUESTIONS", QUESTIONS)
    return scripted, out


def _value(call, name):
    return call[call.index(name) + 1]


def _clock(out):
    return train_wall_clock([str(out), "--serving-python", str(PYTHON)])


def test_seconds_are_taken_in_turns_with_the_same_engine(scripted):
    told, out = scripted
    assert _clock(out) == 0
    modes = [_value(call, "--modes") for call in told.calls]
    assert modes == ["duet", "large-alone", "large-alone", "duet"]
    for call in told.calls:
        assert _value(call, "--concurrency") == "1"
        assert call[call.index("--") + 1 :] == list(wall_clock.ENGINE)
        alone = _value(call, "--modes") == "large-alone"
        assert (
            call[call.index("--large-limit") + 1] == "320" if alone else "--large-limit" not in call
        )
    found = json.loads((out / "wall_clock.json").read_text())
    assert found["share_of_seconds"] == {"median": 0.25, "least": 0.25, "most": 0.25}
    assert found["repeats"] == 2
    assert found["engines"]["split"] == found["engines"]["original"] == list(wall_clock.ENGINE)
    assert found["pair_sha256"] == sha256_of(out / "pair" / "manifest.json")


def test_the_reasoner_alone_is_the_one_before_joint_training(scripted):
    told, out = scripted
    assert _clock(out) == 0
    pairs = {_value(call, "--modes"): Path(_value(call, "--pair")) for call in told.calls}
    assert pairs["duet"] == out / "pair"
    before = pairs["large-alone"]
    assert json.loads((before / "reasoner" / "a.json").read_text()) == {"before": 1}
    manifest = json.loads((before / "manifest.json").read_text())
    (file,) = manifest["reasoner"]["files"]
    assert file["sha256"] == sha256_of(before / "reasoner" / "a.json")


def test_repeats_that_are_whole_are_not_taken_again(scripted):
    told, out = scripted
    assert _clock(out) == 0
    assert _clock(out) == 0
    assert len(told.calls) == 4


@pytest.mark.parametrize(
    ("special", "said"),
    [
        ({"partial": "interrupted"}, "interrupted"),
        ({"asked": 30}, "asked 30 of 60"),
        ({"failed": 1}, "failed at 1 questions.*refused"),
        ({"dies": "the service ended at once"}, "the service ended at once"),
    ],
)
def test_a_repeat_that_is_not_whole_is_taken_again(scripted, capsys, special, said):
    told, out = scripted
    told.tell({2: special})
    assert _clock(out) == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: ")
    assert error.count("\n") == 1
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(error)
    assert not (out / "wall_clock.json").exists()
    assert _clock(out) == 0
    # Both of the repeat, since they are compared with each other.
    modes = [_value(call, "--modes") for call in told.calls]
    assert modes == ["duet", "large-alone", "duet", "large-alone", "large-alone", "duet"]


def test_repeats_of_another_pair_are_taken_again(scripted):
    told, out = scripted
    assert _clock(out) == 0
    manifest = out / "pair" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.1.0"', 1))
    assert _clock(out) == 0
    assert len(told.calls) == 8


def _report(mode, **changes):
    condition = {
        "condition": {"mode": mode, "streams": 1},
        "asked": 60,
        "answered": 60,
        "complete": True,
        "seconds": 2.0,
        "accuracy": {"value": 0.95},
        "metrics": {"large_tokens": {"mean": 16}},
    }
    return {
        "machine": {"cpu": "abacus", "cores": 2},
        "settings": {"engine_flags": []},
        "conditions": [condition | changes],
    }


def test_engines_that_differ_are_not_compared():
    pair = {"split": _report("duet"), "original": _report("large-alone")}
    pair["original"]["settings"] = {"engine_flags": ["--dtype", "bfloat16"]}
    with pytest.raises(DataError, match="same flags"):
        wall_clock.summarize([pair])


@pytest.fixture
def real(tmp_path):
    file = tmp_path / "apples.jsonl"
    file.write_text('{"question": "How many?", "answer": "2"}\n' * 70)
    return file


def _serve(out, *more):
    return train_served([str(out), "--serving-python", str(PYTHON), *more])


def _write_large(pair):
    write_pair(pair)
    manifest = pair / "manifest.json"
    content = json.loads(manifest.read_text())
    content["reasoner"]["parameters"] *= 3
    manifest.write_text(json.dumps(content))


def test_sets_are_asked_whole_and_failures_count(scripted, real, tmp_path):
    told, out = scripted
    _write_large(tmp_path / "big")
    told.tell({4: {"failed": 3}})
    assert _serve(out, "--set", f"apples={real}", "--peer", str(tmp_path / "big")) == 0
    content = json.loads((out / "served.json").read_text())
    assert list(content["sets"]) == [*HELD_OUT, "apples"]
    assert content["peer"] == "big@1.0.0"
    assert content["sets"]["wide"] == {
        "questions": QUESTIONS,
        "split": {
            "questions": QUESTIONS,
            "failures": {},
            "accuracy": 0.9,
            "accuracy_95": [0.8, 0.95],
            "large_tokens": 16.0,
        },
        "reasoner": {
            "questions": QUESTIONS,
            "failures": {},
            "accuracy": 0.9,
            "accuracy_95": [0.8, 0.95],
            "large_tokens": 31.0,
        },
        "marked_low": {"right": 9, "right_marked": 1, "wrong": 1, "wrong_marked": 1},
        "generated": True,
    }
    apples = content["sets"]["apples"]
    assert apples["split"]["failures"] == {"refused": 3}
    assert (apples["questions"], apples["peer"]["questions"]) == (70, 50)
    assert _value(told.calls[3], "--limit") == "70"
    assert _value(told.calls[3], "--modes") == "duet,large-alone"
    assert _value(told.calls[4], "--modes") == "large-alone"
    assert "--resume" not in told.calls[3]
    # Of questions of another kind, only how many of the answers are marked counts.
    assert Path(_value(told.calls[5], "--data")) == served.OUT_OF_DOMAIN
    assert _value(told.calls[5], "--modes") == "duet"
    assert content["out_of_domain"] == {"questions": 60, "answered": 60, "marked": 2}


def test_a_pair_that_computes_is_compared_with_its_decoder_on_its_own_problems(scripted):
    told, out = scripted
    manifest = out / "pair" / "manifest.json"
    content = json.loads(manifest.read_text())
    content |= PRIVATE_PAIR
    manifest.write_text(json.dumps(content))
    assert _serve(out) == 0
    sets = json.loads((out / "served.json").read_text())["sets"]
    assert list(sets) == list(PRIVATE_HELD_OUT)
    assert [_value(call, "--modes") for call in told.calls] == ["duet,device-alone"] * 2 + ["duet"]
    assert sets["problems"]["device"]["accuracy"] == 0.9
    assert "reasoner" not in sets["problems"]
    asked = [Path(_value(call, "--data")).read_text().splitlines() for call in told.calls[:2]]
    first, other = ([json.loads(line) for line in lines] for lines in asked)
    assert len(first) == len(other) == QUESTIONS
    assert first != other
    assert all(row["answer"] for row in first)


def test_sets_that_are_whole_are_not_asked_again_and_stopped_ones_go_on(scripted, real, capsys):
    told, out = scripted
    told.tell({3: {"partial": "the server could not be reached any more"}})
    assert _serve(out) == 1
    assert "could not be reached" in capsys.readouterr().err
    assert not (out / "served.json").exists()
    assert _serve(out) == 0
    assert len(told.calls) == 5
    assert "--resume" in told.calls[3]
    # Another file of the same name is another set.
    assert _serve(out, "--set", f"apples={real}") == 0
    real.write_text(real.read_text() * 2)
    assert _serve(out, "--set", f"apples={real}") == 0
    assert [_value(call, "--limit") for call in told.calls[5:]] == ["70", "140"]
    assert "--resume" not in told.calls[6]


def test_a_pair_that_ships_is_asked_only_what_its_figures_do_not_tell(scripted, real, tmp_path):
    told, out = scripted
    assert _serve(out, "--set", f"apples={real}") == 0
    asked = len(told.calls)
    ships = tmp_path / "ships"
    package(out, ships)
    _write_large(tmp_path / "big")
    beside = ("--of", str(ships), "--set", f"apples={real}", "--peer", str(tmp_path / "big"))
    assert _serve(tmp_path / "elsewhere", *beside) == 0
    assert [_value(call, "--modes") for call in told.calls[asked:]] == ["large-alone"]
    figures = json.loads((ships / "figures.json").read_text())
    before = json.loads((out / "served.json").read_text())["sets"]
    apples = figures["served"]["sets"].pop("apples")
    assert apples.pop("peer")["questions"] == 50
    assert {**figures["served"]["sets"], "apples": apples} == before
    assert "reasoner of `big@1.0.0`" in (ships / "README.md").read_text()
    # More of them are another set.
    real.write_text(real.read_text() * 2)
    assert _serve(tmp_path / "elsewhere", "--of", str(ships), "--set", f"apples={real}") == 0
    # As it lies among the code it is not signed, and devices would not load it.
    asked_of = Path(_value(told.calls[-1], "--pair"))
    assert (asked_of / "model.sig").is_file()
    assert sha256_of(asked_of / "manifest.json") == sha256_of(ships / "manifest.json")
    assert not (ships / "model.sig").exists()
    assert _value(told.calls[-1], "--limit") == "140"


def test_figures_of_another_pair_do_not_count(scripted, tmp_path, capsys):
    _, out = scripted
    assert _serve(out) == 0
    package(out, tmp_path / "ships")
    manifest = tmp_path / "ships" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.1.0"', 1))
    assert _serve(tmp_path / "elsewhere", "--of", str(tmp_path / "ships")) == 1
    assert "was measured with another pair" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("apples", "is not NAME=FILE"),
        ("../x={}", "is not NAME=FILE"),
        ("wide={}", "already a set wide"),
        ("out_of_domain={}", "already a set out_of_domain"),
        ("apples=/no/file", "no such file"),
    ],
)
def test_what_is_no_set(scripted, real, capsys, given, said):
    _, out = scripted
    assert _serve(out, "--set", given.format(real)) == 1
    assert said in capsys.readouterr().err


def test_a_peer_of_the_same_size_is_asked_everything_and_compared(scripted, real, tmp_path):
    told, out = scripted
    write_pair(tmp_path / "peer")
    assert _serve(out, "--set", f"apples={real}", "--peer", str(tmp_path / "peer")) == 0
    asked = {Path(_value(call, "--out")).name: call for call in told.calls}
    assert _value(asked["wide-peer"], "--limit") == str(QUESTIONS)
    assert _value(asked["apples-peer"], "--limit") == "70"
    for name, mode, right in (("apples", "duet@64", 40), ("apples-peer", "large-alone", 33)):
        rows = [
            {"condition": f"{mode}/none", "id": f"apples/{number}", "correct": number < right}
            for number in range(70)
        ]
        file = out / "served" / name / "questions.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (out / "served.json").unlink()
    assert _serve(out, "--set", f"apples={real}", "--peer", str(tmp_path / "peer")) == 0
    peer = json.loads((out / "served.json").read_text())["sets"]["apples"]["peer"]
    assert peer["difference"] == pytest.approx(7 / 70, abs=1e-6)
    assert 0.03 < peer["difference_95"][0] < 0.1 < peer["difference_95"][1] < 0.18
