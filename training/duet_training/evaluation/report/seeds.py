"""Statistics over several seeds of the same run: mean, interval, spread."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from duet_report.intervals import mean_of_runs
from duet_training.evaluation.report.results import Result


@dataclass(frozen=True)
class PooledResult:
    """One method on one data set.

    `accuracy_95`: over questions for one seed (bootstrap), over seeds for several (Student's t).
    `spread`: standard deviation of accuracy over seeds; None for one.
    """

    seeds: int
    questions: int
    accuracy: float
    accuracy_95: tuple[float, float]
    spread: float | None
    reasoner_tokens: float
    reasoner_tokens_spread: float | None
    decoder_tokens: float
    ipt: float | None
    step: int | None
    seconds: float | None
    flops: float | None


def pool(results: Sequence[Result]) -> PooledResult:
    """One cell of results that differ in their seeds only."""
    accuracies = [result.accuracy for result in results]
    tokens = [result.reasoner_tokens for result in results]
    several = len(results) > 1
    return PooledResult(
        seeds=len(results),
        questions=results[0].questions,
        accuracy=mean(accuracies),
        accuracy_95=interval_over_seeds(accuracies) if several else results[0].accuracy_95,
        spread=stdev(accuracies) if several else None,
        reasoner_tokens=mean(tokens),
        reasoner_tokens_spread=stdev(tokens) if several else None,
        decoder_tokens=mean(result.decoder_tokens for result in results),
        ipt=_mean([result.ipt for result in results]),
        step=results[0].step,
        seconds=_mean([result.seconds for result in results]),
        flops=_mean([result.flops for result in results]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def interval_over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of the mean of shares in [0, 1], from at least two seeds."""
    found = mean_of_runs(values)
    return max(0.0, found.low), min(1.0, found.high)


def alike(results: Iterable[Result]) -> list[list[Result]]:
    """Group the results that may be averaged: those that differ in their seeds only."""
    groups: dict[Hashable, list[Result]] = {}
    for result in results:
        groups.setdefault(_but_for_seed(result), []).append(result)
    return list(groups.values())


def _but_for_seed(result: Result) -> Hashable:
    training = result.training
    trained = (
        (training.data, training.variant, training.budget, training.constant)
        if training
        else (result.trained and str(result.file))
    )
    return (result.method, result.data, result.questions, result.cut_at, result.step, trained)
