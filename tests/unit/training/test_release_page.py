"""The README of the released pair: targets met or missed, tables, and its limits."""

import copy
import json
from pathlib import Path

import pytest

from duet_contract.manifest import load_manifest, parse_manifest
from duet_training.release.page import write_page
from duet_training.release.targets import target_rows
from tests.doubles.manifests import manifest_data

PACKED = Path(__file__).parents[3] / "cloud/pairs/duet_pairs"
EMPTY = {"evaluations": {}, "served": None, "wall_clock": None, "parity": None, "samples": []}


def _evaluated(accuracy, tokens=0.0):
    return {
        "questions": 500,
        "accuracy": accuracy,
        "accuracy_95": [accuracy - 0.01, accuracy + 0.01],
        "reasoner_tokens": tokens,
        "decoder_tokens": 14.0,
    }


def _served(accuracy, tokens, questions=500, **more):
    interval = [accuracy - 0.01, accuracy + 0.01]
    found = {"questions": questions, "failures": {}, "accuracy": accuracy, "accuracy_95": interval}
    return found | {"large_tokens": tokens} | more


def _set(questions=500, **more):
    return {
        "questions": questions,
        "split": _served(0.96, 16.0, questions),
        "reasoner": _served(0.97, 31.0, questions),
        "marked_low": None,
        "generated": False,
    } | more


REAL = ("multiarith", "addsub", "singleeq", "svamp", "gsm8k_test")
WHOLE = {
    "evaluations": {
        "wide": {
            "original": _evaluated(0.98, 122.0),
            "duet": _evaluated(0.965, 16.4),
            "alone": _evaluated(0.08),
        },
        "wide-long": {"original": _evaluated(0.108, 275.0), "duet": _evaluated(0.02, 37.0)},
    },
    "served": {
        "peer": "big-1b@1.0.0",
        "large_limit": 320,
        "sets": {
            "wide": _set(
                marked_low={"right": 480, "right_marked": 24, "wrong": 20, "wrong_marked": 7}
            ),
            **{
                name: _set(
                    348,
                    split=_served(0.05, 40.0, 348, failures={"refused": 3}),
                    peer=_served(0.02, 90.0, 50),
                )
                for name in REAL
            },
        },
    },
    "wall_clock": {
        "questions": 60,
        "repeats": 5,
        "machine": {"cpu": "abacus", "cores": 2},
        "engines": {"split": ["--dtype", "float32"], "original": ["--dtype", "float32"]},
        "share_of_seconds": {"median": 0.3, "least": 0.25, "most": 0.55},
        "split": {
            "seconds": {"median": 1.26, "least": 1.0, "most": 2.0},
            "accuracy": 0.95,
            "reasoner_tokens": 16.0,
        },
        "original": {
            "seconds": {"median": 4.2, "least": 4.0, "most": 5.0},
            "accuracy": 0.98,
            "reasoner_tokens": 122.0,
        },
    },
    "parity": {
        "questions": 500,
        "reasoner": {"vllm": {"measured": False}},
        "decoder": {
            "Q8_0": {
                "mean_kl": 1e-6,
                "greedy_agreement": 0.998,
                "confidence": {"threshold": 0.61, "right_marked": 0.05, "wrong_marked": 0.4},
            }
        },
    },
    "samples": [{"signal": "signal 1"}, {"signal": "signal 160"}],
}


@pytest.fixture
def figures():
    return copy.deepcopy(WHOLE)


@pytest.fixture(scope="module")
def manifest():
    data = manifest_data()
    data["decoder"]["path"] = "decoder/model.Q8_0.gguf"
    data["decoder"]["files"][0]["path"] = "decoder/model.Q8_0.gguf"
    return parse_manifest(json.dumps(data))


def _measured(figures, words):
    (found,) = [row[1] for row in target_rows(figures, "Q8_0") if words in row[0]]
    return found


def test_what_is_reached_is_met(figures):
    *verdicts, with_gpu = (row[2] for row in target_rows(figures, "Q8_0"))
    assert verdicts == ["met"] * 7
    # Asked of a pair that a GPU trains.
    assert with_gpu == "missed"


def _evaluation(name, **changes):
    return lambda figures: figures["evaluations"]["wide"][name].update(changes)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("at least 90%", _evaluation("original", accuracy=0.899)),
        ("2 points", _evaluation("duet", accuracy=0.956)),
        ("0.40 of the reasoner's tokens", _evaluation("duet", reasoner_tokens=49.0)),
        ("at most half", _evaluation("alone", accuracy=0.5)),
        ("GGUF", lambda f: f["parity"]["decoder"]["Q8_0"].update(greedy_agreement=0.988)),
        ("seconds", lambda f: f["wall_clock"]["share_of_seconds"].update(median=0.51)),
        ("real questions", lambda f: f["served"]["sets"].pop("svamp")),
    ],
)
def test_what_is_not_reached_is_missed(figures, words, change):
    change(figures)
    missed = [row[0] for row in target_rows(figures, "Q8_0") if row[2] == "missed"]
    assert len(missed) == 2
    assert words in missed[0]


def test_exactly_two_points_are_within_them(figures):
    figures["evaluations"]["wide"]["duet"]["accuracy"] = 0.98 - 0.02
    assert not [row for row in target_rows(figures, "Q8_0")[1:2] if row[2] != "met"]


def test_what_was_not_measured_is_said(manifest):
    rows = target_rows(EMPTY, "Q8_0")
    assert {row[1:] for row in rows} == {("not measured", "")}
    text = write_page(manifest, EMPTY)
    assert text.count("| not measured |") == len(rows)
    assert "--serving-python" not in text


def test_intervals_are_shown(figures):
    assert _measured(figures, "2 points") == (
        "1.5 points fewer (0.1 to 2.9 fewer, as of independent samples): 96.5% (95.5% to 97.5%)"
    )
    assert _measured(figures, "seconds") == "0.30 (minimum 0.25, maximum 0.55 of 5 repeats)"
    # The released reasoner's own tokens are in the same cell.
    assert "own, as served, 0.52 (16.0 of 31.0)" in _measured(figures, "reasoner's tokens")


def test_the_page_tells_what_was_measured(manifest, figures):
    text = write_page(manifest, figures)
    assert (
        "| 500 | 98.0% (97.0% to 99.0%), 122 tokens | 96.5% (95.5% to 97.5%), 16 tokens |" in text
    )
    assert "held-out problems: it marks 5% of the right answers and 40% of the wrong ones." in text
    figures["parity"]["source"] = "stories:wide-other"
    assert "on answers to problems of held-out templates:" in write_page(manifest, figures)
    assert "`signal 1`; at the last: `signal 160`" in text
    assert "99.8% of the prompts" in text
    assert "per repeat: 0.30 (0.25 to 0.55)" in text
    assert "| split | 1.3 s (1.0 to 2.0) | 95.0% | 16.0 |" in text


def test_sets_as_served_have_all_their_columns(manifest, figures):
    text = write_page(manifest, figures)
    assert "| reasoner of `big-1b@1.0.0` | right, marked low | wrong, marked low |" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| `svamp` | 348 |")]
    assert row == (
        "| `svamp` | 348 | 5.0% (4.0% to 6.0%), 40 tokens; 3 refused | 97.0% (96.0% to 98.0%), "
        "31 tokens | 2.0% (1.0% to 3.0%), 90 tokens; first 50 |  |  |"
    )
    assert "| 5% of 480 | 35% of 20 |" in text
    assert "it answers 5% to 5%" not in text
    assert "it answers 5% of each set right" in text


def test_what_it_marks_of_what_it_was_never_to_answer_is_said(manifest, figures):
    said = "it marks 51 of its 60 answers as low in confidence"
    assert "out_of_domain.jsonl" not in write_page(manifest, figures)
    figures["served"]["out_of_domain"] = {"questions": 60, "answered": 60, "marked": 51}
    assert said in write_page(manifest, figures).split("## Figures")[0]
    figures["served"]["out_of_domain"]["marked"] = None
    assert "out_of_domain.jsonl" not in write_page(manifest, figures)


def test_without_a_peer_there_is_no_column(manifest, figures):
    figures["served"]["peer"] = None
    text = write_page(manifest, figures)
    assert "big-1b" not in text
    assert "--peer" not in text


def test_the_command_has_every_argument(manifest, figures):
    text = write_page(manifest, figures)
    command = " ".join(
        part.strip(" \\") for part in text.split("    $ ")[1].split("\n\n")[0].split("\n")
    )
    assert command == (
        f"duet-train release build OUT --into cloud/pairs/duet_pairs/{manifest.id} "
        "--real multiarith.jsonl --real addsub.jsonl --real singleeq.jsonl "
        "--real svamp.jsonl --real gsm8k_test.jsonl "
        "--peer big-1b --serving-python .venv/bin/python"
    )


def test_what_joint_training_costs_is_said(manifest, figures):
    assert "Joint training costs accuracy on problems longer" in write_page(manifest, figures)
    figures["evaluations"]["wide-long"]["duet"]["accuracy"] = 0.2
    assert "Joint training costs nothing on problems longer" in write_page(manifest, figures)


def test_the_page_in_the_repository_is_what_its_figures_make():
    """Kills: a text of the generator that changes without the pages that it wrote."""
    pair = PACKED / "stories-5m"
    figures = json.loads((pair / "figures.json").read_text())

    page = write_page(load_manifest(pair), figures)

    assert (pair / "README.md").read_text() == page
