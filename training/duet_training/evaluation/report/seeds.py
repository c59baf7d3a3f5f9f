"""Statistics over several seeds of the same run: mean, interval, spread."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from duet_report.intervals import mean_of_runs
from duet_training.evaluation.report.results import Result


@dataclass(frozen=True)
class PooledResult:
    """One method on one data set, with its seeds pooled. Token counts are means per question."""

    seeds: int
    """Number of seeds."""
    questions: int
    """Number of questions of each seed."""
    accuracy: float
    """Mean share of right answers."""
    accuracy_95: tuple[float, float]
    """95% interval: over seeds (Student's t), or over the questions of a single seed
    (bootstrap)."""
    spread: float | None
    """Standard deviation of accuracy over seeds; None for one seed."""
    reasoner_tokens: float
    """Tokens of the reasoner."""
    reasoner_tokens_spread: float | None
    """Their standard deviation over seeds; None for one seed."""
    decoder_tokens: float
    """Tokens of the decoder."""
    ipt: float | None
    """Intelligence per token; None if no reasoner token was generated."""
    step: int | None
    """Step of the evaluated checkpoints; None: the models were not trained in a run."""
    seconds: float | None
    """Mean duration of an evaluation in seconds; None if not recorded."""
    flops: float | None
    """Mean FLOPs per question; None if not recorded."""


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
