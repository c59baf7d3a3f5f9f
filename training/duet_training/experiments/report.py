"""EXPERIMENTS.md: tables from the results, samples, the stages, and how to read it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from duet_report.plots import write_plots
from duet_report.text_page import render
from duet_training.experiments import aggregations, rewards, tables
from duet_training.experiments.drawing import plots
from duet_training.experiments.methods import BUDGET
from duet_training.experiments.plan import TIMED
from duet_training.experiments.rates import TRIED_SEED
from duet_training.experiments.results import Results
from duet_training.experiments.stage import Stage
from duet_training.experiments.targets import targets_table
from duet_training.files import write_text

# Relative to the report's directory.
PLOTS = "experiments/plots"


def write_report(plan: Sequence[Stage], results: Results, file: Path) -> None:
    """Write the report, and its plots into `experiments/plots` in the same directory.

    The same results always give the same bytes.
    """
    seeds = sorted({stage.seed for stage in plan if stage.seed != TRIED_SEED})
    runs = [s.name for s in plan if s.kind == "train" and s.seed != TRIED_SEED and s.name != TIMED]
    compared = {"before": "start-split"}
    compared |= {name: f"{name}-{seeds[0]}" for name in ("duet", "duet-gated", "decoder-fixed")}
    page = render(
        "duet_training.experiments",
        "report.md.j2",
        plan=plan,
        results=results,
        seeds=seeds,
        budget=BUDGET,
        trained=[run for run in runs if results.done(run)],
        tables=tables,
        rewards=rewards,
        aggregations=aggregations,
        targets_table=targets_table,
        drawn=write_plots(plots(results, seeds), file.parent / PLOTS),
        directory=PLOTS,
        samples=_samples(results, compared),
    )
    write_text(file, page)


def _samples(results: Results, runs: Mapping[str, str]) -> str:
    """Show the same questions before and after joint training; `runs` maps labels to runs."""
    found = {when: results.result(f"{run}@greedy") for when, run in runs.items()}
    samples = [each["samples"] for each in found.values() if each]
    if len(samples) < len(runs):
        return ""
    parts = []
    for answers in zip(*samples, strict=True):
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
