"""The README of a pair with private quantities: its scope, its limits and its figures."""

from typing import Any

from duet_contract.manifest import Manifest
from duet_report.tables import markdown
from duet_training.release.page import measured_with
from duet_training.release.stages import PRIVATE_HELD_OUT
from duet_training.release.tables import answered_cell, marked_cells
from duet_training.release.targets import percent

SETS = dict(
    zip(
        PRIVATE_HELD_OUT,
        ("word problems of the trained templates", "held-out templates"),
        strict=True,
    )
)
_TO_REACH = {
    PRIVATE_HELD_OUT[0]: 0.93,
    PRIVATE_HELD_OUT[1]: 0.80,
    "multiarith": 0.82,
    "asdiv_mawps": 0.65,
    "svamp": 0.30,
    "gsm8k_test": 0.15,
}


def write_private_page(manifest: Manifest, figures: dict[str, Any]) -> str:
    """Write the pair's README in Markdown from its `figures.json`; say which figures are missing."""
    served = figures["served"]
    parts = [
        f"# {manifest.id}",
        _what(manifest),
        "## What it can and cannot answer",
        *_reach(served),
        "## Figures",
        *(_figures(served, figures["formulas"]) if served else ["It was not measured as served."]),
        "## How it was trained",
        _commands(manifest, served),
        _how(figures["steps"]),
    ]
    return "\n\n".join(parts) + "\n"


def _what(manifest: Manifest) -> str:
    reasoner, decoder = manifest.reasoner.parameters / 1e6, manifest.decoder.parameters / 1e6
    return (
        "The device replaces every number of a question by a label before the question leaves it. "
        f"The reasoner ({manifest.base_models[0]} with an adapter, {reasoner:.1f} million "
        "parameters) reads *Nina had [a] euros* and sends a formula such as `a-b*c`. The device "
        f"puts the numbers in and computes exactly, and the decoder ({decoder:.1f} million "
        f"parameters) writes the sentence around the result. Version {manifest.version}, "
        f"{manifest.licence}."
    )


def _reach(served: dict[str, Any] | None) -> list[str]:
    lines = [
        "It answers English word problems that one formula over their numbers solves: counts, "
        "money, percent, units, time, ages, comparison. It knows no facts, holds no conversation "
        "and writes no program. A number that is not in the question or in its notes cannot be in "
        "an answer, except for constants such as 12 months or 100 cents. Real questions are still "
        "hard for so small a model: most problems of several steps get a wrong formula."
    ]
    elsewhere = served and served.get("elsewhere")
    if elsewhere and elsewhere["marked"] is not None:
        lines.append(
            f"Of {elsewhere['questions']} out-of-domain questions about facts, languages and small "
            "talk (`training/duet_training/release/elsewhere.jsonl`), it refuses or marks "
            f"{elsewhere['marked']}."
        )
    return lines


def _figures(served: dict[str, Any], formulas: dict[str, Any] | None) -> list[str]:
    sets, peer = served["sets"], served["peer"]
    rows = []
    for name, one in sets.items():
        cells = [answered_cell(one["split"], one), percent(one["device"])]
        if peer:
            cells.append(answered_cell(one.get("peer"), one))
        rows.append(
            (SETS.get(name, f"`{name}`"), str(one["questions"]), *cells, *marked_cells(one))
        )
    sent = sum(one["numbers_sent"] * one["questions"] for one in sets.values())
    head: tuple[str, ...] = ("questions", "", "split", "decoder by itself")
    head += (f"reasoner of `{peer}`, alone",) if peer else ()
    text = (
        "Greedy answers of the served pair (its service and llama.cpp) to every question of each "
        "set, with 95% CI and tokens of the large model. A question that fails counts as wrong. "
        "An answer is right if its computed value equals the reference. *Marked*: share of right "
        "and of wrong answers that the device marks, because a check of the formula fails. Sets "
        "with a name are public test sets, which this repository does not contain "
        "(`duet-train release real` makes them from the public files); no model was trained on "
        "them, and no template repeats their questions."
    )
    count = sum(one["questions"] for one in sets.values())
    parts = [
        _targets(sets, formulas),
        text,
        markdown((*head, "right, marked", "wrong, marked"), rows),
        f"Numbers in what left the device, over all {count:,} questions: {sent:.0f}.",
    ]
    if peer:
        parts.append(
            f"`{peer}` has the same base model without the adapter, which reads the numbers and "
            "thinks in words; it was not trained on these problems. The same base trained to think "
            "at length (`duet-train sft solutions`) is the fairer comparison, and was not measured."
        )
    return parts


def _targets(sets: dict[str, Any], formulas: dict[str, Any] | None) -> str:
    rows = []
    for name, wanted in _TO_REACH.items():
        if one := sets.get(name):
            reached = one["split"]["accuracy"] >= wanted
            words = SETS.get(name, f"`{name}`")
            measured = percent(one["split"])
            rows.append(
                (f"{words}: at least {wanted:.0%}", measured, "met" if reached else "missed")
            )
    for each in formulas["sets"] if formulas else ():
        found = each["auroc_checks"]
        if each["set"] in sets and each["set"] not in PRIVATE_HELD_OUT and found is not None:
            met = "met" if found >= 0.75 else "missed"
            rows.append(
                (
                    f"`{each['set']}`, right against wrong: AUROC at least 0.75",
                    f"{found:.2f} ({each['questions']} questions)",
                    met,
                )
            )
    return markdown(("target", "measured", "met?"), rows)


def _commands(manifest: Manifest, served: dict[str, Any] | None) -> str:
    parts = [f"duet-train release build OUT --pair {manifest.id} --base SMOLLM2"]
    parts += ["--worked gsm8k_train.jsonl", f"--into cloud/pairs/duet_pairs/{manifest.id}"]
    real = [name for name in (served["sets"] if served else ()) if name not in SETS]
    parts += measured_with(real, served)
    parts.append("--serving-python .venv/bin/python")
    return "    $ " + " \\\n        ".join(parts)


def _how(steps: dict[str, int]) -> str:
    return (
        "SMOLLM2 is the directory of SmolLM2-135M-Instruct, such as the `reasoner/` of the pair "
        "`smollm2-135m`; `gsm8k_train.jsonl` is GSM8K's training set, whose calculator annotations "
        "give the formulas. The rest of the training data is generated "
        "(`training/duet_training/data/word_problems`). The released weights are of "
        f"{steps['reasoner']:,} steps of the adapter and {steps['decoder']:,} of the decoder, far fewer "
        "than accuracy stops to gain from. The first 330 steps of the adapter read fewer templates, "
        "so that the command above gives weights of the same kind, not the same weights. There is "
        "no joint training: the signal is as short as the formula. This page is generated from "
        "`figures.json`."
    )
