"""EXPERIMENTS.md: tables from the results, samples, the stages, and how to read it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from duet_report.plots import Plot, write_plots
from duet_report.tables import markdown
from duet_training.experiments.drawing import plots
from duet_training.experiments.methods import BUDGET
from duet_training.experiments.rates import TRIED_SEED
from duet_training.experiments.results import Results
from duet_training.experiments.rewards import rewards_table, signal_table
from duet_training.experiments.stage import Stage
from duet_training.experiments.tables import (
    ablation_table,
    curve_table,
    generalisation_table,
    jointly_table,
    main_table,
    matched_table,
    pressure_table,
    ran,
    rates_table,
    second_table,
)
from duet_training.experiments.targets import targets_table

MECHANISM = (
    "Without models: groups of four signals (40, 60, 80 and 100 tokens, B = 24) of one question, "
    "four answers each, are drawn with known probabilities of a right answer and go through the "
    "trainer's rewards and advantages. The figure is the mean advantage of the shortest signal "
    "minus that of the longest. Above 0, signals become shorter. If the four differ in length "
    "alone, GRPO's division by the standard deviation gives 2.32 for any lambda above 0."
)
AT_TOKENS = (
    "Share of right samples in the training steps with so many tokens per response in the mean: "
    "mean ± standard error (steps), all seeds. A response that ThinkPrune truncates is wrong. For "
    "methods without a split the answer's tokens count, as they are large-model tokens."
)
METHODS = (
    "The 95% CI is over questions (of several seeds, the mean of their bounds); *by seed* has each "
    "seed. The paper's truncation at 3,072, 4,096 and 8,192 tokens reaches 0.77 at 3,059, 0.83 at "
    "3,445 and 0.87 at 4,050 tokens on MATH500."
)
GREEDY = (
    "The same questions, greedy answers; ThinkPrune and L-GRPO were only evaluated sampled. "
    "Differences in the table of targets are paired by question, with a 95% CI over questions and "
    "seeds."
)
RATES = (
    "Each method at each rate, with as many steps as below, another seed, validation questions; "
    "*worth* is the accuracy minus a tenth of the share of tokens that are still spent."
)
ABLATED = (
    "One seed, the same as of DUET's row. *easy*: problems of the trained kind; *hard*: problems of "
    "seven and eight steps with numbers up to 999, which `unsolved` was trained on."
)
JOINTLY = (
    "SFT of the decoder has no bare equations, only worked solutions that end with the answer, so "
    "joint training has something to teach it; the weak decoder has few steps even of that."
)
SECOND = "Both models from another seed, with the learning rates chosen above."
REWARDED = (
    "Three seeds, the same steps and batches, learning rates of DUET. *Tokens of training*: what "
    "both models generate until the last step, as a share of the paper's reward. Validation is "
    "the last one within so many of these tokens. *Target*: the accuracy of the paper's reward in "
    "half the steps, or with 0.8 of the signal tokens, by point estimates. Run them with "
    "`duet-train experiments --only 'reward-*'`."
)
CARRIED = (
    "Greedy signals and answers. *States the answer*: the reference number is in the signal, of "
    "all signals and of those that led to a right answer. The other columns are accuracies of the "
    "same decoder: from the first part of the signal; with every place that states the answer "
    "removed, replaced by a question mark or by a mask; with spans of the same lengths removed "
    "elsewhere (placebo). The *untouched decoder* is the one before joint training. Run them with "
    "`duet-train experiments --only '*@signal'`."
)
WHILE_TRAINING = "Accuracy / large-model tokens per validation question."
SAMPLES = (
    "The first questions of the test set with the decoder's greedy answers: after a signal of the "
    "reasoner before joint training, and of the reasoners of DUET, its gated variant, and DUET "
    "with a fixed decoder."
)
# Relative to the report's directory.
PLOTS = "experiments/plots"
READING = Path(__file__).with_name("reading.md")


def write_report(plan: Sequence[Stage], results: Results, file: Path) -> None:
    """Write the report, and its plots into `experiments/plots` in the same directory.

    The same results always give the same bytes.
    """
    seeds = _seeds(plan)
    drawn = write_plots(plots(results, seeds), file.parent / PLOTS)
    file.write_text("\n\n".join(_parts(plan, results, seeds, drawn)) + "\n", "utf-8")


def _seeds(plan: Sequence[Stage]) -> list[int]:
    return sorted({stage.seed for stage in plan if stage.seed != TRIED_SEED})


def _parts(
    plan: Sequence[Stage],
    results: Results,
    seeds: Sequence[int],
    drawn: Sequence[Plot],
) -> list[str]:
    runs = [s.name for s in plan if s.kind == "train" and s.seed != TRIED_SEED]
    trained = [run for run in runs if results.done(run)]
    parts = [
        "# Experiments at small scale",
        "Written by `duet-train experiments` from `training/experiments/results/`; do not edit. "
        "Two models from scratch (2.0 and 0.4 million parameters) on generated word problems of "
        f"one to three steps; B = {BUDGET} tokens. Answers to held-out questions, the reasoner "
        "sampled at temperature 1, the decoder greedy; intervals are bootstrap over questions. The "
        "paper has other models, other data and responses some fifty times as long: trends can be "
        "compared, values cannot.",
        "## What was run",
        ran(plan, results),
    ]
    if results.done("start-measured"):
        parts += ["## The start", _start(results.read("start-measured")["result"])]
    for name, words in (
        ("weak", "The same with the weak decoder:"),
        ("second", "The second start:"),
    ):
        if results.done(f"{name}-measured"):
            parts += [words, _start(results.read(f"{name}-measured")["result"])]
    for title, intro, content in (
        ("Learning rates", RATES, rates_table(results)),
        ("Methods, sampled", METHODS, main_table(results)),
        ("Methods, greedy", GREEDY, main_table(results, "greedy")),
        ("Targets", "", targets_table(results)),
        ("At equal tokens", AT_TOKENS, matched_table(results, seeds)),
        ("Training both, or the reasoner alone", JOINTLY, jointly_table(results)),
        ("Ablations and variants", ABLATED, ablation_table(results, seeds[0])),
        ("A second start", SECOND, second_table(results)),
        ("Rewards at equal tokens", REWARDED, rewards_table(results, seeds)),
        ("What signals carry", CARRIED, signal_table(plan, results)),
        ("Longer problems, other templates", "", generalisation_table(results, seeds[0])),
        ("While training", WHILE_TRAINING, curve_table(results, trained)),
        ("What marginal utility does under GRPO", MECHANISM, pressure_table(results)),
    ):
        if content:
            parts += [part for part in (f"## {title}", intro, content) if part]
    if drawn:
        parts.append("## Plots")
        parts += [f"![{each.caption}]({PLOTS}/{each.file})\n\n{each.caption}" for each in drawn]
    seed = seeds[0]
    ours = {"before": "start-split"}
    ours |= {name: f"{name}-{seed}" for name in ("duet", "duet-gated", "decoder-fixed")}
    if samples := _samples(results, ours):
        parts += ["## Signals before and after", SAMPLES, samples]
    if READING.is_file():
        parts.append(READING.read_text("utf-8").strip())
    return parts


def _start(measured: dict[str, float]) -> str:
    def cell(name: str, value: float) -> str:
        return f"{value:.1f}" if name.endswith("tokens") else f"{value:.3f}"

    rows = [[name.replace("_", " "), cell(name, value)] for name, value in measured.items()]
    return markdown(["figure", "value"], rows)


def _samples(results: Results, runs: Mapping[str, str], most: int | None = None) -> str:
    """Show the same questions before and after joint training; `runs` maps labels to runs."""
    found: dict[str, list[dict[str, Any]]] = {
        when: results.read(f"{run}@greedy")["result"]["samples"][:most]
        for when, run in runs.items()
        if results.done(f"{run}@greedy")
    }
    if len(found) < len(runs):
        return ""
    parts = []
    for answers in zip(*found.values(), strict=True):
        lines = [answers[0]["question"] + "\n"]
        for when, row in zip(found, answers, strict=True):
            right = "right" if row["score"] == 1 else "wrong"
            signal, answer = (
                json.dumps(row[key], ensure_ascii=False) for key in ("signal", "answer")
            )
            lines.append(f"> {when} ({row['reasoner_tokens']} tokens): {signal}\n>")
            lines.append(f"> answer ({right}): {answer}\n>")
        parts.append("\n".join(lines).removesuffix("\n>"))
    return "\n\n".join(parts)
