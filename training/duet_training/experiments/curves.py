"""Curves over training steps, from results: of one run, and of a method's seeds together."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from duet_training.experiments.results import Results

Metrics = tuple[str, ...]
# Metrics that stand for one thing; a run has the first or the next.
LENGTH: Metrics = ("tokens/response",)
PRICE: Metrics = ("price",)
# With a split, of answers to the question and the signal; else of whole responses.
ACCURACY: Metrics = ("reward/guided", "reward/right")


@dataclass(frozen=True)
class Band:
    """A metric by step, over seeds: mean, least, most."""

    steps: list[int]
    mean: list[float]
    least: list[float]
    most: list[float]
    seeds: int


def curve(results: Results, run: str, metrics: Metrics) -> dict[int, float]:
    """The first of `metrics` that a run has, by step; empty if the run is not done."""
    if not results.done(run):
        return {}
    curves = results.read(run)["result"]["curves"]
    there = [curves[metric] for metric in metrics if curves.get(metric)]
    return {int(step): float(value) for step, value in there[0]} if there else {}


def band(results: Results, method: str, seeds: Sequence[int], metrics: Metrics) -> Band | None:
    """A method's runs, over those seeds that are done; None if none is."""
    runs = [one for seed in seeds if (one := curve(results, f"{method}-{seed}", metrics))]
    if not runs:
        return None
    # Of all seeds or none: the mean of fewer would jump where a run ended early.
    steps = sorted(set.intersection(*(set(run) for run in runs)))
    at = [[run[step] for run in runs] for step in steps]
    mean, least, most = ([of(values) for values in at] for of in (fmean, min, max))
    return Band(steps, mean, least, most, len(runs)) if steps else None
