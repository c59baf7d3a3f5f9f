"""Tables of rewards, and of what signals carry; a row without a result says "not run"."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean
from typing import Any

from duet_report.tables import markdown
from duet_training.evaluation.report.tables import NOT_RUN
from duet_training.evaluation.signal_table import content_table
from duet_training.experiments.figures import each_seed, figure
from duet_training.experiments.methods import REWARDS
from duet_training.experiments.results import GENERATED, VALIDATED, Results
from duet_training.experiments.stage import Stage

PAPERS = "reward-sampled"
# Shares of the tokens that the paper's reward generates in its whole training.
AT = (0.25, 0.5, 1.0)
SHORTER, SOONER = 0.8, 0.5
_SEED = re.compile(r"-\d+$")


def rewards_table(results: Results, seeds: Sequence[int]) -> str:
    """Compare the rewards on test questions, and on validation questions at equal tokens."""
    total = _generated(results, PAPERS, seeds)
    rows = []
    for name, method in REWARDS.items():
        runs = [f"{name}-{seed}" for seed in seeds]
        one = figure(results, name, "greedy")
        if one is None or one.seeds < len(seeds) or not all(map(results.done, runs)):
            rows.append([name, method.why, *[NOT_RUN] * (5 + len(AT))])
            continue
        by_seed = " ".join(f"{each['accuracy']:.3f}" for each in each_seed(results, name, "greedy"))
        tokens = _generated(results, name, seeds)
        spent = f"{tokens / total:.2f}" if tokens and total else ""
        reached = [_at(results, runs, share * total) if total else "" for share in AT]
        rows.append(
            [name, method.why, *one.cells, by_seed, spent, *reached, _verdict(results, name, seeds)]
        )
    head = ["reward", "what it is", "greedy accuracy (95%)", "tokens", "by seed"]
    head += ["tokens of training, of sampled"]
    head += [f"validation at {share:.0%} of these" for share in AT]
    return markdown([*head, "target met"], rows)


def _verdict(results: Results, name: str, seeds: Sequence[int]) -> str:
    """Judge by point estimates: the paper's accuracy in half the steps, or in 0.8 of the tokens."""
    theirs, ours = (figure(results, each, "greedy") for each in (PAPERS, name))
    if name == PAPERS or theirs is None or ours is None:
        return ""
    shorter = ours.accuracy >= theirs.accuracy and ours.tokens <= SHORTER * theirs.tokens
    wanted = _validated(results, PAPERS, seeds, 1.0)
    sooner = _validated(results, name, seeds, SOONER)
    return "yes" if shorter or (wanted and sooner and sooner >= wanted) else "no"


def _validated(results: Results, name: str, seeds: Sequence[int], share: float) -> float | None:
    """Mean validation accuracy after a share of the steps; None without one."""
    found = []
    for seed in seeds:
        result = results.result(run := f"{name}-{seed}") or {"steps": 0}
        points = results.curve(run, VALIDATED).items()
        found += [value for step, value in points if step <= share * result["steps"]][-1:]
    return fmean(found) if len(found) == len(seeds) else None


def _generated(results: Results, name: str, seeds: Sequence[int]) -> float | None:
    """Mean tokens that both models generate in a whole training."""
    runs = [run for seed in seeds if results.done(run := f"{name}-{seed}")]
    sums = [sum(results.curve(run, GENERATED).values()) for run in runs]
    return fmean(sums) if sums and all(sums) else None


def _at(results: Results, runs: Sequence[str], tokens: float) -> str:
    """Mean validation accuracy of the last validation within so many generated tokens."""
    found = []
    for run in runs:
        curve = results.curve(run, GENERATED)
        spent = list(accumulate(curve.values()))
        # The run's own total may be a token more or less than the mean of the runs.
        last = bisect_right(spent, tokens * 1.05)
        step = list(curve)[last - 1] if last else 0
        within = [v for at, v in results.curve(run, VALIDATED).items() if at <= step]
        found += within[-1:]
    return f"{fmean(found):.3f}" if len(found) == len(runs) else ""


def signal_table(plan: Sequence[Stage], results: Results) -> str:
    """Show what the signals of every split carry: seeds averaged, then what was not run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for stage in plan:
        if stage.name.endswith("@signal"):
            run = stage.name.removesuffix("@signal")
            method = _SEED.sub("", run)
            measured = (results.result(stage.name) or {}).get("signal")
            found.setdefault(method, []).extend([measured] if measured else [])
    rows: dict[str, dict[str, Any] | None] = {
        name: _averaged(seeds) for name, seeds in found.items() if seeds
    }
    if missing := [name for name, seeds in found.items() if not seeds]:
        rows[", ".join(missing)] = None
    return content_table(rows) if rows else ""


def _averaged(seeds: Sequence[Any]) -> Any:
    """Average numbers at the same place of nested results; None where a seed has none."""
    if isinstance(seeds[0], dict):
        return {key: _averaged([seed[key] for seed in seeds]) for key in seeds[0]}
    if isinstance(seeds[0], list):
        return [_averaged(each) for each in zip(*seeds, strict=True)]
    return None if any(seed is None for seed in seeds) else fmean(seeds)
