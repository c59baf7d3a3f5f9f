"""The report file: its schema, written, read back and validated.

`schema.json` is made from these classes (`duet-bench split --schema`); a test holds that
it is fresh. A change that an older reader would misread raises the number of the schema.
"""

import re
from typing import Any, Literal

from pydantic import Field

from duet_report.intervals import Interval
from duet_tools.files import SchemaFile, Strict, text_of
from duet_tools.results.cells import Cell, ModeName
from duet_tools.results.figures import Figure, Machine
from duet_tools.results.settings import RunSettings

Metric = Literal[
    "connect_ms", "first_signal_ms", "signal_ms", "first_answer_ms", "total_ms", "queue_ms",
    "prefill_ms", "decode_ms", "late_ms", "saved_ms", "cloud_step_ms", "device_step_ms",
    "question_tokens", "signal_tokens", "answer_tokens", "large_tokens", "app_up", "app_down",
    "wire_up", "wire_down", "cloud_s", "flops", "numbers_sent",
]  # fmt: skip


class Percentiles(Strict):
    """A metric over the questions that were answered and have it (`count` of them)."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class Objective(Strict):
    """What a question must reach to count as goodput: a metric of at most `most` milliseconds."""

    metric: Literal["first_signal_ms", "signal_ms", "first_answer_ms", "total_ms"]
    most: float


class Prices(Strict):
    """Prices in one currency: an hour of the large model's host, a million tokens of the large
    model, a GiB over the link. None: not given, and then not counted.
    """

    host_hour: float | None = None
    million_tokens: float | None = None
    gib: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is anything to count."""
        return self.model_dump(exclude_none=True) != {}


class MarkedLow(Strict):
    """Answers that the device judged, right and wrong, and those that it marked as low in
    confidence.
    """

    right: int
    right_marked: int
    wrong: int
    wrong_marked: int

    @property
    def right_share(self) -> float:
        """Share of right answers that are marked."""
        return self.right_marked / max(1, self.right)


class CellReport(Strict):
    """A cell.

    `asked`, `answered`: questions; `failures`: how many of them failed, by status. `retries`:
    questions that a full cloud was asked again. `seconds`: that the load took.
    `accuracy`: of all questions asked, failures counting as wrong; None without references.
    `marked_low`: of the answers that a device judged; None without references, or without any such.
    `metrics`: over the questions answered; see `duet_tools.results.record.Record`.
    `answers_per_s`, `large_tokens_per_s`, `goodput_per_s`: over `seconds`; goodput counts the
    answers that reach every objective, None without objectives.
    `ipt`: 1000 x accuracy / large-model tokens a question; None where it spends none.
    `accuracy_gaps`: of a split's cell, its accuracy less that of each other mode over the same link
    under the same load. `break_even_tokens`: of a split's cell, tokens of the large model alone above
    which that takes longer (medians).
    `host_s`: seconds in which the cloud worked on at least one of the questions, a question.
    `cost_per_correct`: at the prices given; None without prices, references or right answers.
    `joules`: of the whole machine while the load was on, by source. `series`: a value a question,
    by index in the data, None for a missing value; what comparing needs.
    """

    id: str
    cell: Cell
    asked: int
    answered: int
    failures: dict[str, int] = Field(default_factory=dict)
    retries: int = 0
    complete: bool
    seconds: float
    accuracy: Interval | None = None
    marked_low: MarkedLow | None = None
    accuracy_gaps: dict[ModeName, Interval] | None = None
    break_even_tokens: float | None = None
    metrics: dict[Metric, Percentiles] = Field(default_factory=dict)
    answers_per_s: float
    large_tokens_per_s: float
    goodput_per_s: float | None = None
    ipt: float | None = None
    host_s: float | None = None
    cost_per_correct: float | None = None
    joules: dict[str, float] = Field(default_factory=dict)
    series: dict[Metric | Literal["correct"], tuple[float | None, ...]] = Field(
        default_factory=dict
    )


class LinkFacts(Strict):
    """A link as it was emulated; rates in bits a second, None: no limit."""

    name: str
    rtt_ms: float
    source: str
    up_bit_s: float | None = None
    down_bit_s: float | None = None


class Lane(Strict):
    """Spans of one question on one lane of its waterfall; milliseconds from when it was asked."""

    name: Literal["device", "link", "cloud"]
    spans: tuple[tuple[str, float, float], ...]


class Waterfall(Strict):
    """The question of median latency of a cell."""

    cell: str
    question: str
    lanes: tuple[Lane, ...]


class Handshake(Strict):
    """Bytes that a connection costs which asks nothing, its closing included."""

    up: int
    down: int


class Untrained(Strict):
    """What the reasoner needed by itself before its training for the split, by the pair's manifest."""

    data: str
    """The questions."""
    tokens: float
    """Per question, mean."""
    accuracy: float | None = None
    """Share of right answers; None: not measured."""


class Report(SchemaFile):
    """A run. `partial`: why it does not hold all that was asked for; None: it does.

    `handshake`: of a connection to the service. `bytes_per_token`: down the wire on a connection
    of its own, by encoding. `figures`: of the bench's other benchmarks, where they were given.
    `untrained`: of the pair's reasoner; None: the manifest does not say. `notes`: facts that a reader needs.
    """

    kind = "report"
    partial: str | None = None
    pair: str
    commit: str | None = None
    date: str
    command: str
    machine: Machine
    settings: RunSettings
    objectives: tuple[Objective, ...] = ()
    prices: Prices = Prices()
    links: tuple[LinkFacts, ...]
    handshake: Handshake | None = None
    bytes_per_token: dict[str, float] = Field(default_factory=dict)
    cells: tuple[CellReport, ...]
    waterfall: Waterfall | None = None
    figures: tuple[Figure, ...] = ()
    untrained: Untrained | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def prepare(cls, data: Any) -> None:
        """Drop the sentences of earlier versions: they follow from the rest."""
        data.pop("statements", None)

    def without_series(self) -> "Report":
        """Return the same without each question's values: most of it, and for comparing alone."""
        cells = (cell.model_copy(update={"series": {}}) for cell in self.cells)
        return self.model_copy(update={"cells": tuple(cells)})

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
