"""EVIDENCE.md: tables from the results, samples, what was and was not run, and how to read it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.evidence.methods import ABLATIONS, BUDGET, MAIN
from training.evidence.rates import TRIED_SEED
from training.evidence.results import Results
from training.evidence.stage import Stage
from training.evidence.tables import (
    ablation_table,
    curve_table,
    generalisation_table,
    main_table,
    matched_table,
    pressure_table,
    ran,
    table,
)
from training.evidence.targets import targets_table

MECHANISM = (
    "No model takes part: groups of four signals (40, 60, 80 and 100 tokens, B = 24) of one "
    "question, four answers each, are drawn from known chances of a right answer and go through "
    "the trainer's own rewards and advantages. The figure is the mean advantage of the shortest "
    "signal less that of the longest: above 0 signals shorten; 2.32 is the most that GRPO's "
    "division by the standard deviation lets through."
)
AT_TOKENS = (
    "Share of right samples in the training steps whose responses had so many tokens in the mean: "
    "mean ± standard error (steps), all seeds. What ThinkPrune cuts at its limit is wrong. For "
    "methods without a split the answer counts among the tokens, as it is the large model's."
)
WHILE_TRAINING = "Accuracy / tokens of the large model on validation questions."
READING = Path(__file__).with_name("reading.md")


def write_report(plan: Sequence[Stage], results: Results, file: Path) -> None:
    """Writes the report; the same results always give the same text."""
    file.write_text("\n\n".join(_parts(plan, results)) + "\n", "utf-8")


def _parts(plan: Sequence[Stage], results: Results) -> list[str]:
    runs = [s.name for s in plan if s.kind == "train" and s.seed != TRIED_SEED]
    trained = [run for run in runs if results.done(run)]
    parts = [
        "# Evidence at small scale",
        "Written by `python -m training.evidence` from `training/evidence/results/`; do not edit. "
        "Two models from scratch (2.0 and 0.4 million parameters) on generated word problems of "
        f"one to three steps; B = {BUDGET} tokens. Answers to held-out questions, the reasoner "
        "sampled at temperature 1, the decoder greedy; intervals are bootstrap over questions. The "
        "paper's figures are of other models, other data and signals some forty times as long: "
        "shapes can be compared, sizes cannot.",
        "## What was run",
        ran(plan, results),
    ]
    if results.done("start-measured"):
        parts += ["## The start", _start(results.read("start-measured")["result"])]
    seeds = sorted({stage.seed for stage in plan if stage.seed != TRIED_SEED})
    for title, intro, content in (
        ("Methods", "", main_table(results)),
        ("Against what was to be reached", "", targets_table(results)),
        ("At equal tokens", AT_TOKENS, matched_table(results, seeds)),
        ("Ablations and variants", "", ablation_table(results)),
        ("Longer problems, other templates", "", generalisation_table(results)),
        ("While training", WHILE_TRAINING, curve_table(results, trained)),
        ("What marginal utility does under GRPO", MECHANISM, pressure_table(results)),
    ):
        if content:
            parts += [part for part in (f"## {title}", intro, content) if part]
    samples = [run for run in trained if run.rsplit("-", 1)[0] in {*MAIN, *ABLATIONS}]
    if samples:
        parts += ["## Signals before and after", *(_samples(results, run) for run in samples[:3])]
    if READING.is_file():
        parts.append(READING.read_text("utf-8").strip())
    return parts


def _start(measured: dict[str, float]) -> str:
    def cell(name: str, value: float) -> str:
        return f"{value:.1f}" if name.endswith("tokens") else f"{value:.3f}"

    rows = [[name.replace("_", " "), cell(name, value)] for name, value in measured.items()]
    return table(["figure", "value"], rows)


def _samples(results: Results, run: str) -> str:
    samples: dict[str, list[dict[str, Any]]] = results.read(run)["result"]["samples"]
    lines = [f"### {run}"]
    for when in ("first", "last"):
        for sample in samples[when][:2]:
            # A model that answers by itself has written both in one response.
            answer = sample.get("answer", sample.get("response", ""))
            right = "right" if sample["score"] == 1 else "wrong"
            lines.append(
                f"Step {sample['step']}: {sample['question']}\n\n"
                f"> signal: {json.dumps(sample['signal'], ensure_ascii=False)}\n>\n"
                f"> answer ({right}): {json.dumps(answer, ensure_ascii=False)}"
            )
    return "\n\n".join(lines)
