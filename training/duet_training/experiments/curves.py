"""Curves over training steps, from results: of one run, and of a method's seeds together."""

from collections.abc import Sequence

from duet_training.evaluation.report.curves import Band, band_of
from duet_training.experiments.results import Results

Metrics = tuple[str, ...]
# Alternative names of one metric; a run has the first or the next.
LENGTH: Metrics = ("tokens/response",)
PRICE: Metrics = ("price",)
# With a split, of answers to the question and the signal; else of whole responses.
ACCURACY: Metrics = ("reward/guided", "reward/right")


def curve(results: Results, run: str, metrics: Metrics) -> dict[int, float]:
    """The first of `metrics` that a run has, by step; empty if the run is not done."""
    if not results.done(run):
        return {}
    curves = results.read(run)["result"]["curves"]
    there = [curves[metric] for metric in metrics if curves.get(metric)]
    return {int(step): float(value) for step, value in there[0]} if there else {}


def band(results: Results, method: str, seeds: Sequence[int], metrics: Metrics) -> Band | None:
    """A method's runs, over those seeds that are done; None if none is."""
    found = (curve(results, f"{method}-{seed}", metrics) for seed in seeds)
    return band_of([one for one in found if one])
