"""The README of a pair with private quantities: its scope, its limits and its figures."""

from typing import Any

from duet_contract.manifest import Manifest
from duet_report.tables import markdown
from duet_training.release.stage import PRIVATE_HELD_OUT
from duet_training.release.tables import answered_cell, marked_cells, seconds
from duet_training.release.targets import percent, verdict

SETS = dict(
    zip(
        PRIVATE_HELD_OUT,
        ("word problems of the trained templates", "held-out templates"),
        strict=True,
    )
)
TOKENS, SECONDS = 0.25, 0.4
"""Shares of the peer's tokens and seconds."""
_AUROC = 0.75
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
        *(_figures(figures) if served else ["It was not measured as served."]),
        *_marks(figures.get("marks")),
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


def _figures(figures: dict[str, Any]) -> list[str]:
    served, clock = figures["served"], figures.get("wall_clock")
    sets, peer = served["sets"], served["peer"]
    rows = []
    for name, one in sets.items():
        cells = [answered_cell(one["split"], one), percent(one["device"])]
        if peer:
            cells += [answered_cell(one.get("peer"), one), _difference(one.get("peer"))]
        rows.append(
            (SETS.get(name, f"`{name}`"), str(one["questions"]), *cells, *marked_cells(one))
        )
    sent = sum(one["numbers_sent"] * one["questions"] for one in sets.values())
    head: tuple[str, ...] = ("questions", "", "split", "decoder by itself")
    head += ("peer", "split - peer") if peer else ()
    text = (
        "Greedy answers of the served pair (its service and llama.cpp) to every question of each "
        "set, with 95% CI and tokens of the large model. A question that fails counts as wrong. "
        "An answer is right if its computed value equals the reference. *Marked*: share of right "
        "and of wrong answers that the device marks, because a check of the formula fails; without a calibration. Sets "
        "with a name are public test sets, which this repository does not contain "
        "(`duet-train release real` makes them from the public files); no model was trained on "
        "them, and no template repeats their questions."
    )
    count = sum(one["questions"] for one in sets.values())
    parts = [
        _targets(sets, figures),
        text,
        markdown((*head, "right, marked", "wrong, marked"), rows),
        f"Numbers in what left the device, over all {count:,} questions: {sent:.0f}.",
    ]
    stated = [one["answer_in_signal"] for one in sets.values() if "answer_in_signal" in one]
    if stated:
        signals, found = (sum(each[name] for each in stated) for name in ("signals", "stated"))
        parts.append(
            f"Signals that contain the right answer: {found} of {signals:,} ({found / signals:.2%})."
            " The reasoner never reads a number, so that it can state the answer by chance alone: "
            "by a constant of the formula, such as the 2 of `a/2`."
        )
    if peer:
        parts.append(
            f"The *peer* (`{peer}`) is the same base model with an adapter of the same shape, taught "
            "on the same problems to write whole solutions in words with their numbers "
            f"(`duet-train sft solutions`{_steps(figures['steps'])}). It answers by itself in vLLM. "
            "*split - peer*: difference in points, with its 95% CI over questions."
        )
    if clock:
        parts.append(seconds(clock, "peer"))
    return parts


def _steps(steps: dict[str, int]) -> str:
    return (
        f", {steps['peer']:,} steps, where the pair has {steps['reasoner']:,}"
        if "peer" in steps
        else ""
    )


def _difference(peer: dict[str, Any] | None) -> str:
    if not peer or "difference" not in peer:
        return ""
    low, high = (100 * each for each in peer["difference_95"])
    return f"{100 * peer['difference']:+.1f} ({low:+.1f} to {high:+.1f})"


def _targets(sets: dict[str, Any], figures: dict[str, Any]) -> str:
    formulas, marks = figures["formulas"], figures.get("marks")
    rows = []
    for name, wanted in _TO_REACH.items():
        if one := sets.get(name):
            measured = percent(one["split"])
            reached = one["split"]["accuracy"] >= wanted
            rows.append((f"{_named(name)}: at least {wanted:.0%}", measured, verdict(reached)))
    by_checks = [] if marks or not formulas else formulas["sets"]
    judged = {each["set"]: (each["auroc_checks"], each["questions"]) for each in by_checks}
    if marks:
        measured_marks = marks["marks"].items()
        judged = {
            name: (one["auroc"] and one["auroc"]["value"], one["questions"])
            for name, one in measured_marks
        }
    for name, (auroc, count) in judged.items():
        if name in sets and name not in PRIVATE_HELD_OUT and auroc is not None:
            rows.append(
                (
                    f"`{name}`, right against wrong: AUROC at least {_AUROC}",
                    f"{auroc:.2f} ({count} questions)",
                    verdict(auroc >= _AUROC),
                )
            )
    return markdown(
        ("target", "measured", "met?"), [*rows, *_against_peer(sets, figures.get("wall_clock"))]
    )


def _against_peer(sets: dict[str, Any], clock: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """Rows of tokens, accuracy and seconds against the peer, where it was measured."""
    rows = []
    both = {name: one for name, one in sets.items() if "difference" in one.get("peer", ())}
    if both:
        own, its = (
            sum(one[which]["large_tokens"] * one["questions"] for one in both.values())
            / sum(one["questions"] for one in both.values())
            for which in ("split", "peer")
        )
        least = min(one["peer"]["difference_95"][0] for one in both.values())
        rows.append(
            (
                f"large-model tokens of the peer: at most {TOKENS:.2f}",
                f"{own / its:.2f} ({own:.1f} of {its:.1f})",
                verdict(own / its <= TOKENS),
            )
        )
        rows.append(
            (
                "accuracy on each set: 95% CI of the difference to the peer above -2 points",
                f"least lower bound {100 * least:+.1f} points",
                verdict(least >= -0.02),
            )
        )
    if clock:
        found = clock["share_of_seconds"]
        rows.append(
            (
                f"seconds of the peer, end to end on one machine: at most {SECONDS:.1f}",
                f"{found['median']:.2f} ({found['least']:.2f} to {found['most']:.2f})",
                verdict(found["median"] <= SECONDS),
            )
        )
    return rows


def _named(name: str) -> str:
    return SETS.get(name, "all sets of real questions" if name == "real" else f"`{name}`")


def _marks(report: dict[str, Any] | None) -> list[str]:
    """Write how good the marks are by the pair's own calibration."""
    if report is None:
        return []
    rows = []
    for name, one in report["marks"].items():
        auroc, ece, unmarked = one["auroc"], one["ece"], one["right_unmarked"]
        rows.append(
            (
                _named(name),
                str(one["questions"]),
                f"{one['right']['value']:.1%}",
                "" if auroc is None else f"{auroc['value']:.2f}",
                "" if ece is None else f"{ece:.3f}",
                f"{one['marked']:.0%}",
                "" if unmarked is None else f"{unmarked['value']:.1%}",
                f"{one['right_surer_half']['value']:.1%}",
            )
        )
    head = ("questions", "", "right", "AUROC", "ECE", "marked", "right if not marked")
    return [
        "## Marks",
        "The pair comes with a calibration (`calibration.json`), which its manifest names. Its judge "
        "weighs the checks of a formula, the reasoner's probabilities of it, and the decoder's of "
        "the answer; the receipt's `chance` is the probability that the answer is right. It was "
        f"fitted on `{report['fitted_on']}`, of which no question is in a set below; the reasoner was "
        "trained on those of GSM8K's training set among them. *Right, surer half*: "
        "if the less sure half of the answers is marked.",
        markdown((*head, "right, surer half"), rows),
    ]


def _commands(manifest: Manifest, served: dict[str, Any] | None) -> str:
    parts = [f"duet-train release build OUT --pair {manifest.id} --base SMOLLM2"]
    parts += ["--worked gsm8k_train.jsonl", f"--into cloud/pairs/duet_pairs/{manifest.id}"]
    real = [name for name in (served["sets"] if served else ()) if name not in SETS]
    if real:
        parts.append(" ".join(f"--real {name}.jsonl" for name in real))
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
