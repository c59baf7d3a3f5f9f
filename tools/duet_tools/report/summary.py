"""From records to a condition's figures."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from duet_report.intervals import proportion
from duet_tools.results.conditions import Condition
from duet_tools.results.record import Record
from duet_tools.results.report import (
    ConditionReport,
    MarkedLow,
    Metric,
    Objective,
    Percentiles,
    Prices,
)

METRICS: tuple[Metric, ...] = get_args(Metric)
# What comparing two runs needs of each question.
SERIES: tuple[Metric, ...] = (
    "first_signal_ms", "signal_ms", "first_answer_ms", "total_ms", "large_tokens", "wire_up",
    "wire_down", "cloud_s",
)  # fmt: skip
_GIB = 2**30


def summarise_condition(
    condition: Condition,
    records: Sequence[Record],
    questions: int,
    seconds: float,
    joules: dict[str, float],
    objectives: Sequence[Objective] = (),
    prices: Prices | None = None,
) -> ConditionReport:
    """Return the figures of a condition.

    `questions`: number of questions in the run. `seconds`: duration of the load.
    """
    prices = prices or Prices()
    answered = [record for record in records if record.ok]
    judged = all(record.correct is not None for record in answered) and bool(answered)
    right = sum(bool(record.correct) for record in answered)
    accuracy = proportion(right, len(records)) if judged else None
    large = sum(record.large_tokens for record in answered)
    # A device that answers alone loads no host.
    host_s = busy_seconds(answered) / len(records) if records else None
    return ConditionReport(
        id=condition.id,
        condition=condition,
        asked=len(records),
        answered=len(answered),
        failures=dict(Counter(record.status for record in records if not record.ok)),
        retries=sum(record.asked_again for record in records),
        complete=len(records) >= questions,
        seconds=seconds,
        accuracy=accuracy,
        marked_low=marked_low(answered) if judged else None,
        metrics={
            name: percentiles(values) for name in METRICS if (values := values_of(answered, name))
        },
        answers_per_s=len(answered) / seconds if seconds else 0.0,
        large_tokens_per_s=large / seconds if seconds else 0.0,
        goodput_per_s=_goodput(answered, objectives, seconds),
        ipt=1000 * accuracy.value * len(records) / large if accuracy and large else None,
        host_s=host_s,
        cost_per_correct=_cost(answered, right, host_s, len(records), prices) if judged else None,
        joules=joules,
        series=_series(records, questions, judged),
    )


def percentiles(values: Sequence[float]) -> Percentiles:
    """Return percentiles with linear interpolation between neighbors."""
    p50, p90, p95, p99 = map(float, np.percentile(values, [50, 90, 95, 99]))
    mean = float(np.mean(values))
    return Percentiles(count=len(values), mean=mean, p50=p50, p90=p90, p95=p95, p99=p99)


def marked_low(records: Sequence[Record]) -> MarkedLow | None:
    """Count the answers that a device judged; None if there are no such answers.

    Left out: those of the large model, of a pair without a threshold, and without a reference.
    """
    known = [each for each in records if None not in (each.low_confidence, each.correct)]
    right = [each.low_confidence for each in known if each.correct]
    wrong = [each.low_confidence for each in known if not each.correct]
    if not known:
        return None
    return MarkedLow(
        right=len(right), right_marked=sum(map(bool, right)),
        wrong=len(wrong), wrong_marked=sum(map(bool, wrong)),
    )  # fmt: skip


def values_of(records: Sequence[Record], metric: str) -> list[float]:
    """Return a metric's values, where there are any. Tokens and bytes of 0 are values."""
    values = (getattr(record, metric) for record in records)
    return [float(value) for value in values if value is not None]


def busy_seconds(records: Sequence[Record]) -> float:
    """Return the seconds in which the cloud worked on at least one of the questions.

    Each question's `cloud_s`, as if in one go, up to the large model's last token. All of a condition
    pass the same link, so that seeing their ends from the device shifts them alike.
    """
    spans = []
    for record in records:
        if record.large_tokens and record.cloud_s is not None:
            ends = [ms for ms in (record.signal_ms, record.total_ms) if ms is not None]
            last = record.signal_ms if record.device and record.signal_ms else max(ends)
            end = record.at_s + last / 1e3
            spans.append((end - record.cloud_s, end))
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _goodput(
    answered: Sequence[Record], objectives: Sequence[Objective], seconds: float
) -> float | None:
    if not objectives or not seconds:
        return None
    good = [
        record
        for record in answered
        if all(
            (value := getattr(record, each.metric)) is not None and value <= each.most
            for each in objectives
        )
    ]
    return len(good) / seconds


def _cost(
    answered: Sequence[Record], right: int, host_s: float | None, asked: int, prices: Prices
) -> float | None:
    if not prices.given or not right:
        return None
    tokens = sum(record.large_tokens for record in answered)
    wire = sum(record.wire_up + record.wire_down for record in answered)
    spent = (
        (prices.host_hour or 0.0) * (host_s or 0.0) * asked / 3600
        + (prices.million_tokens or 0.0) * tokens / 1e6
        + (prices.gib or 0.0) * wire / _GIB
    )
    return spent / right


def _series(
    records: Sequence[Record], questions: int, judged: bool
) -> dict[Metric | Literal["correct"], tuple[float | None, ...]]:
    at = {record.index: record for record in records if record.ok}

    def series(metric: str) -> tuple[float | None, ...]:
        values = (getattr(at[i], metric) if i in at else None for i in range(questions))
        return tuple(None if value is None else float(value) for value in values)

    found: dict[Metric | Literal["correct"], tuple[float | None, ...]] = {
        name: series(name) for name in SERIES
    }
    if judged:
        # A question that failed was not answered right.
        asked = {record.index for record in records}
        found["correct"] = tuple(
            float(bool(at[i].correct)) if i in at else 0.0 if i in asked else None
            for i in range(questions)
        )
    return {name: values for name, values in found.items() if any(v is not None for v in values)}
