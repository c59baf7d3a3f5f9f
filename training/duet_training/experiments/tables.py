"""The report's tables: measured results next to the paper's figures (arXiv 2605.01111)."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

from duet_report.tables import markdown
from duet_training.experiments.figures import each_seed, figure
from duet_training.experiments.methods import (
    ABLATIONS,
    FROM_SECOND,
    JOINTLY,
    MAIN,
    OTHERS,
    SETS,
    UNTRAINED,
)
from duet_training.experiments.rates import RATES, chosen, stage_of, tried
from duet_training.experiments.results import ACCURACY, VALIDATED, VALIDATED_LENGTH, Results
from duet_training.experiments.stage import Stage

# MATH500: accuracy, tokens of the large model.
PAPER_MAIN = {
    "original": (0.89, 4358),
    "prompted": (0.89, 3444),
    "duet": (0.88, 1106),
    "single": (0.87, 1139),
    "thinkprune": (0.87, 3187),
    "lgrpo": (0.89, 3429),
}
# AMC23: accuracy, tokens of the large model. Tables 6 and 8 to 12, each with its own DUET; values
# of B and of lambda other than the default are lost in the text at hand.
PAPER_ABLATIONS = {
    "duet": "0.85, 1559",
    "no-utility": "0.67, 1323",
    "constant-1": "0.82 to 0.93, 1388 to 4063, at four values",
    "neither": "0.78, 1394",
    "neither-no-kl": "0.27, 0",
    "no-kl": "0.90, 2404, DUET there 0.85, 1879",
    "budget-12": "0.85, 1906, DUET there 0.85, 1879",
    "budget-48": "0.90, 3923, DUET there 0.85, 1879",
}


def _paper(name: str) -> list[str]:
    if name not in PAPER_MAIN:
        return ["", ""]
    accuracy, tokens = PAPER_MAIN[name]
    return [f"{accuracy:.2f}, {tokens}", f"{tokens / PAPER_MAIN['original'][1]:.2f}"]


def _by_seed(seeds: Sequence[dict[str, Any]]) -> str:
    if len(seeds) < 2:
        return ""
    return " ".join(f"{seed['accuracy']:.3f}" for seed in seeds)


def start_table(results: Results, start: str) -> str:
    """Show what both models of a start can do before joint training."""
    measured = results.result(f"{start}-measured") or {}
    rows = [
        [name.replace("_", " "), f"{value:.1f}" if name.endswith("tokens") else f"{value:.3f}"]
        for name, value in measured.items()
    ]
    return markdown(["figure", "value"], rows)


def main_table(results: Results, data: str = "easy") -> str:
    """Compare every method on problems of the trained kind; `data`: easy, sampled, or greedy."""
    base = figure(results, "original", data)
    rows = []
    for name in [*UNTRAINED, *MAIN]:
        one = figure(results, name, data)
        if one is None:
            continue
        seeds = each_seed(results, name, data)
        decoder = fmean([seed.get("decoder_tokens", 0.0) for seed in seeds])
        share = f"{one.tokens / base.tokens:.2f}" if base and base.tokens else ""
        ipt = f"{1000 * one.accuracy / one.tokens:.1f}" if one.tokens else ""
        rows.append(
            [name, *one.cells, share, f"{decoder:.1f}", ipt, _by_seed(seeds), *_paper(name)]
        )
    head = ["method", "accuracy (95%)", "tokens of the large model", "of original"]
    head += ["of the small one", "IPT", "by seed"]
    return markdown([*head, "paper, MATH500", "of its original"], rows)


def runs_table(results: Results, names: Mapping[str, str]) -> str:
    """Compare runs by sampled and greedy answers; `names` maps each run to its description."""
    rows = []
    for name, why in names.items():
        found = {data: figure(results, name, data) for data in ("easy", "greedy")}
        if not any(found.values()):
            continue
        row = [name, why]
        for data, one in found.items():
            seeds = each_seed(results, name, data)
            row += [*one.cells, _by_seed(seeds)] if one else ["", "", ""]
        rows.append(row)
    head = ["run", "what it is"]
    for how in ("sampled", "greedy"):
        head += [f"{how}: accuracy (95%)", "tokens", "by seed"]
    return markdown(head, rows)


def jointly_table(results: Results) -> str:
    """Compare a decoder that trains with the reasoner to a fixed decoder."""
    whys = {"start-split": "untrained", "duet": "both learn", **OTHERS}
    whys |= {name: method.why for name, method in JOINTLY.items()}
    names = ("start-split", "duet", "decoder-fixed", "weak-split", "weak", "weak-fixed")
    return runs_table(results, {name: whys[name] for name in names})


def second_table(results: Results) -> str:
    """Compare the second start and the runs trained from it."""
    names = {name: why for name, why in OTHERS.items() if name.startswith("second-")}
    names |= {name: method.why for name, method in FROM_SECOND.items()}
    return runs_table(results, names)


def ablation_table(results: Results, seed: int) -> str:
    """Compare each switch, one seed, to DUET of the same seed and to the paper's figures."""
    rows = []
    for name in ["original", "start-split", "duet", *ABLATIONS]:
        trained = name in MAIN or name in ABLATIONS
        why = {**MAIN, **ABLATIONS}[name].why if trained else "untrained"
        for data in ("easy", "hard"):
            if (trained or data == "hard") and (
                one := figure(results, f"{name}-{seed}" if trained else name, data)
            ):
                paper = PAPER_ABLATIONS.get(name, "") if data == "easy" else ""
                rows.append([name, why, data, *one.cells, paper])
    # The untrained models belong to the set that only one run was trained on.
    rows.sort(key=lambda row: row[2] == "hard")
    head = ["run", "what differs", "tested on", "accuracy (95%)", "tokens", "paper, AMC23"]
    return markdown(head, rows)


def generalisation_table(results: Results, seed: int) -> str:
    """TrainedMethod on easy problems, tested on longer ones and on other templates; one seed."""
    rows = []
    for name in ["original", *MAIN]:
        cells = []
        for data in SETS:
            # Only one seed was tested on other sets; the first column must be of the same run.
            run = f"{name}-{seed}" if name in MAIN and data == "easy" else name
            one = figure(results, run, data)
            cells.append(", ".join(one.cells) if one else "")
        if any(cells[1:]):
            rows.append([name, *cells])
    return markdown(["method", *(f"{data}: accuracy (95%), tokens" for data in SETS)], rows)


def rates_table(results: Results) -> str:
    """Compare the tried learning rates on validation questions, and mark the selected one."""
    rows = []
    for name in MAIN:
        if not all(results.done(stage_of(name, rate)) for rate in RATES):
            continue
        taken = chosen(results, name)
        for rate in RATES:
            accuracy, tokens, worth = tried(results, name, rate)
            figures = f"{accuracy:.3f}", f"{tokens:.1f}", f"{worth:.3f}"
            rows.append([name, rate, *figures, "taken" if rate == taken else ""])
    return markdown(["method", "rate", "accuracy", "tokens", "worth", ""], rows)


def pressure_table(results: Results) -> str:
    """Show the effect of a length penalty on a group of signals, by question and switches."""
    if not (found := results.result("mechanism")):
        return ""
    lambdas = ("0.0", "0.02", "0.2", "1.0")
    names = {"per_signal": "per signal", "per_question": "by question", "none": "none"}
    rows = [
        [
            row["question"],
            names[row["baseline"]],
            "yes" if row["divided"] else "no",
            "on success" if row["on_success"] else "always",
            *(f"{row['pressure'][penalty]:+.2f}" for penalty in lambdas),
        ]
        for row in found["pressure"]
    ]
    head = ["question", "r_m", "divided", "length paid"]
    return markdown([*head, *(f"lambda {float(penalty):g}" for penalty in lambdas)], rows)


def curve_table(results: Results, runs: Sequence[str]) -> str:
    """Show validation during training: accuracy / signal tokens, by step."""
    curves = {}
    for run in runs:
        tokens = results.curve(run, VALIDATED_LENGTH)
        accuracies = results.curve(run, VALIDATED)
        curves[run] = {step: (accuracies[step], tokens[step]) for step in accuracies}
    steps = sorted({step for curve in curves.values() for step in curve})
    rows = [
        [run, *(f"{curve[s][0]:.2f} / {curve[s][1]:.0f}" if s in curve else "" for s in steps)]
        for run, curve in curves.items()
    ]
    return markdown(["run", *(f"step {step}" for step in steps)], rows)


# Upper bounds of a step's mean response tokens; the last covers everything above.
LENGTHS = (15, 20, 30, 45, 60, 200)


def by_length(runs: Sequence[dict[str, list[list[float]]]]) -> list[list[float]]:
    """Group shares of right answers by mean response length, one list for each of LENGTHS.

    A list holds one share for each step of these runs whose mean response length is above the
    previous bound and at most this one. `runs` are curves, each a list of [step, value].
    """
    found: list[list[float]] = [[] for _ in LENGTHS]
    for curves in runs:
        scored = next((curves[metric] for metric in ACCURACY if curves.get(metric)), [])
        right = {int(step): value for step, value in scored}
        for step, tokens in curves.get("tokens/response", []):
            if int(step) in right:
                found[bisect_left(LENGTHS, min(tokens, LENGTHS[-1]))].append(right[int(step)])
    return found


def matched_table(results: Results, seeds: Sequence[int]) -> str:
    """Compare accuracy at equal tokens of the large model, over the steps of training."""
    rows = []
    for name in MAIN:
        runs = [found for seed in seeds if (found := results.result(f"{name}-{seed}"))]
        if runs:
            curves = by_length([run["curves"] for run in runs])
            rows.append([name, *map(_of_steps, curves)])
    bounds = ["0", *(str(length) for length in LENGTHS)]
    spans = [f"{low} to {high}" for low, high in pairwise(bounds)]
    return markdown(["method", *spans[:-1], f"above {LENGTHS[-2]}"], rows)


def _of_steps(values: Sequence[float]) -> str:
    if len(values) < 2:
        return ""
    error = stdev(values) / len(values) ** 0.5
    return f"{fmean(values):.3f} ± {error:.3f} ({len(values)})"


def ran(plan: Sequence[Stage], results: Results) -> str:
    """List the stages that ran, with their minutes, and the stages that did not."""
    done = [stage for stage in plan if results.done(stage.name)]
    minutes = sum(_minutes(results.read(stage.name)) for stage in done)
    missing = [f"`{stage.name}`" for stage in plan if not results.done(stage.name)]
    text = (
        f"{len(done)} of {len(plan)} stages were run: {minutes:.0f} minutes one by one, about "
        "half of that with two at a time on two cores."
    )
    cut = [f"`{s.name}`" for s in done if not results.read(s.name)["whole"]]
    if cut:
        text += f" Stopped at their time limit: {', '.join(cut)}."
    if missing:
        text += f"\n\n**Not run yet**: {', '.join(missing)}."
    return text


def _minutes(done: dict[str, Any]) -> float:
    """Return a stage's minutes; of a resumed run only those since the interruption are stored."""
    steps = done["result"].get("curves", {}).get("seconds/step", [])
    return max(float(done["minutes"]), float(sum(seconds for _, seconds in steps)) / 60)
