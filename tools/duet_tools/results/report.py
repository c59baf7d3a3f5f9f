"""The report file: its schema, written, read back and validated.

`schema.json` is made from these classes (`duet-bench split --schema`); a test holds that
it is fresh. A change that an older reader would misread raises the number of the schema.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from duet_report.intervals import Interval
from duet_tools.files import SchemaFile, Strict, text_of
from duet_tools.results.conditions import RENAMED, Condition, ModeName
from duet_tools.results.figures import Figure, Machine
from duet_tools.results.settings import RunSettings

Metric = Literal[
    "connect_ms", "first_signal_ms", "signal_ms", "first_answer_ms", "total_ms", "queue_ms",
    "prefill_ms", "decode_ms", "late_ms", "saved_ms", "cloud_step_ms", "device_step_ms",
    "question_tokens", "signal_tokens", "answer_tokens", "large_tokens", "app_up", "app_down",
    "wire_up", "wire_down", "cloud_s", "flops", "numbers_sent",
]  # fmt: skip


class Percentiles(Strict):
    """A metric over the questions that were answered and have it."""

    count: int
    """Questions that have the metric."""
    mean: float
    """Mean, in the unit of the metric, as are the percentiles."""
    p50: float
    """Median."""
    p90: float
    """90th percentile."""
    p95: float
    """95th percentile."""
    p99: float
    """99th percentile."""


class Objective(Strict):
    """What a question must reach to count as goodput."""

    metric: Literal["first_signal_ms", "signal_ms", "first_answer_ms", "total_ms"]
    """The time that is limited."""
    most: float
    """Maximum, in milliseconds."""


class Prices(Strict):
    """Prices in one currency. None: not given, and not counted."""

    host_hour: float | None = None
    """An hour of the large model's host."""
    million_tokens: float | None = None
    """A million tokens of the large model."""
    gib: float | None = None
    """A GiB over the link."""

    @property
    def given(self) -> bool:
        """Whether there is anything to count."""
        return self.model_dump(exclude_none=True) != {}


class MarkedLow(Strict):
    """Answers that the device judged, and those of them that it marked as low in confidence."""

    right: int
    """Right answers."""
    right_marked: int
    """Right answers that are marked."""
    wrong: int
    """Wrong answers."""
    wrong_marked: int
    """Wrong answers that are marked."""

    @property
    def right_share(self) -> float:
        """Share of right answers that are marked."""
        return self.right_marked / max(1, self.right)


class ConditionReport(Strict):
    """What was measured of a condition."""

    id: str
    """Name of the condition, unique in the run."""
    condition: Annotated[Condition, RENAMED]
    """Mode, link and load."""
    asked: int
    """Questions asked."""
    answered: int
    """Questions answered."""
    failures: dict[str, int] = Field(default_factory=dict)
    """Number of failed questions by status."""
    retries: int = 0
    """Questions that a full cloud was asked again."""
    complete: bool
    """Whether every question of the data was asked."""
    seconds: float
    """Duration of the load in seconds."""
    accuracy: Interval | None = None
    """Share of right answers of all questions asked, failures counting as wrong; None without
    references."""
    marked_low: MarkedLow | None = None
    """None without references, or if no device judged an answer."""
    accuracy_gaps: dict[ModeName, Interval] | None = None
    """Of a condition of the split: its accuracy less that of each other mode over the same link under
    the same load."""
    break_even_tokens: float | None = None
    """Of a condition of the split: tokens of the large model alone above which that takes longer
    (medians)."""
    metrics: dict[Metric, Percentiles] = Field(default_factory=dict)
    """Metrics over the questions answered; `Record` describes them."""
    answers_per_s: float
    """Answers per second of the load."""
    large_tokens_per_s: float
    """Large-model tokens per second of the load."""
    goodput_per_s: float | None = None
    """Answers per second that reach every objective; None without objectives."""
    ipt: float | None = None
    """1000 x accuracy / large-model tokens per question; None if there are no such tokens."""
    host_s: float | None = None
    """Seconds per question in which the cloud worked on at least one of the questions."""
    cost_per_correct: float | None = None
    """Cost of a right answer at the prices given; None without prices, references or right
    answers."""
    joules: dict[str, float] = Field(default_factory=dict)
    """Energy of the whole machine during the load, by source, in joules."""
    series: dict[Metric | Literal["correct"], tuple[float | None, ...]] = Field(
        default_factory=dict
    )
    """A value for each question by its index in the data, None for a missing one: what comparing
    needs."""


class LinkFacts(Strict):
    """A link as it was emulated."""

    name: str
    """Name of its profile."""
    rtt_ms: float
    """Round trip in milliseconds."""
    source: str
    """Where the profile comes from."""
    up_bit_s: float | None = None
    """Rate to the cloud in bits per second; None: no limit."""
    down_bit_s: float | None = None
    """Rate to the device in bits per second; None: no limit."""


class Lane(Strict):
    """Spans of one question on one lane of its waterfall."""

    name: Literal["device", "link", "cloud"]
    """Where the time was spent."""
    spans: tuple[tuple[str, float, float], ...]
    """What was done, its begin and its end, in milliseconds since the question."""


class Waterfall(Strict):
    """The question of median latency of a condition."""

    condition: Annotated[str, RENAMED]
    """Id of the condition."""
    question: str
    """Id of the question."""
    lanes: tuple[Lane, ...]
    """Device, link and cloud."""


class Handshake(Strict):
    """Bytes of a connection on which nothing is asked, its closing included."""

    up: int
    """Bytes to the cloud."""
    down: int
    """Bytes to the device."""


class Untrained(Strict):
    """What the reasoner needed by itself before its training for the split, by the pair's manifest."""

    data: str
    """The questions."""
    tokens: float
    """Per question, mean."""
    accuracy: float | None = None
    """Share of right answers; None: not measured."""


class Report(SchemaFile):
    """A run of `duet-bench split`."""

    kind = "report"
    partial: str | None = None
    """Why the run does not have all that was asked for; None: it has."""
    pair: str
    """The pair as `id@version`."""
    commit: str | None = None
    """Commit of the code that was measured; None: unknown."""
    date: str
    """Date of the run."""
    command: str
    """Command that repeats it."""
    machine: Machine
    """Machine and versions of packages."""
    settings: RunSettings
    """What was asked for."""
    objectives: tuple[Objective, ...] = ()
    """Objectives of goodput."""
    prices: Prices = Prices()
    """Prices of the cost."""
    links: tuple[LinkFacts, ...]
    """Emulated links."""
    handshake: Handshake | None = None
    """Bytes of a connection to the service; None: not measured."""
    bytes_per_token: dict[str, float] = Field(default_factory=dict)
    """Bytes per token to the device on a new connection, by encoding."""
    conditions: Annotated[
        tuple[ConditionReport, ...], Field(validation_alias=AliasChoices("conditions", "cells"))
    ]
    """A condition for each mode, link and load."""
    waterfall: Waterfall | None = None
    """Times of one question; None: not measured."""
    figures: tuple[Figure, ...] = ()
    """Figures of the bench's other benchmarks, if they were given."""
    untrained: Untrained | None = None
    """Of the pair's reasoner; None: the manifest does not say."""
    notes: tuple[str, ...] = ()
    """Facts that a reader needs."""

    @classmethod
    def prepare(cls, data: Any) -> None:
        """Drop the sentences of earlier versions: they follow from the rest."""
        data.pop("statements", None)

    def without_series(self) -> "Report":
        """Return the same without each question's values: most of it, and for comparing alone."""
        conditions = (condition.model_copy(update={"series": {}}) for condition in self.conditions)
        return self.model_copy(update={"conditions": tuple(conditions)})

    def to_json(self) -> str:
        """As it is written: six significant digits, and nothing that is not there."""
        return _flat(text_of(self.model_dump(mode="json", by_alias=True, exclude_none=True)))


def schema() -> str:
    """Return the JSON schema of a report."""
    return text_of(Report.model_json_schema(by_alias=True))


def _flat(text: str) -> str:
    """Put each list or object of plain numbers on one line, even a series of 200 values."""
    for opening, item, closing in (
        (r"\[", r"(?:-?[\d.e+-]+|null)", r"\]"),
        (r"\{", r'"\w+": -?[\d.e+-]+', r"\}"),
    ):
        text = re.sub(
            rf"({opening})\s+((?:{item},?\s+)+)({closing})",
            lambda found: found[1] + " ".join(found[2].split()) + found[3],
            text,
        )
    return text
