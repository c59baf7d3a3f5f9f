"""What is recorded of each question, and how it becomes the cases of each decision."""

import base64
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from duet_contract.answers import final_answer, is_right
from duet_contract.calibration import Decision
from duet_device.calibration.cases import Case, Point
from duet_device.errors import UsageProblem


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Outcome(_Model):
    """One answer to a question."""

    text: str
    """The answer's text."""
    value: str | None = None
    """Value of a computed answer; None of any other, and in rows of older versions."""
    tokens: float
    """Signal tokens that it took."""
    measures: dict[str, float] = {}
    """Every measure of the answer."""
    features: dict[str, float] = {}
    """What a judge weighs (`duet_device.policy.features`)."""

    @property
    def judged(self) -> str:
        """What is compared with a reference. The text of a computed answer may have more numbers."""
        return self.value or self.text


class Row(_Model):
    """A question with its answers alone, from parts of a signal, and from whole signals."""

    id: str
    """Id in the data."""
    question: str
    """The question's text."""
    answer: str | None
    """The data's answer; None without one."""
    pair: str
    """`id@version` of the pair."""
    decoder_sha256: str
    """SHA-256 of the decoder file."""
    budget: int | None = None
    """Maximum number of signal tokens that it was recorded with; None in rows of older versions."""
    signal_sha256: str | None = None
    """SHA-256 of the data's signal; None if the cloud was asked."""
    alone: Outcome
    """Without a signal; its measures are those of the gate's drafts."""
    state: str
    """The decoder's last hidden state after the question: float32, little-endian, in base64."""
    stops: tuple[Outcome, ...]
    """From ever longer parts of the signal; the measures are those of a draft there."""
    full: Outcome
    """From the whole signal."""
    samples: tuple[Outcome, ...] = ()
    """From other signals to the same question, sampled."""

    @property
    def vector(self) -> NDArray[np.float32]:
        """The hidden state."""
        return np.frombuffer(base64.b64decode(self.state), np.dtype("<f4"))


def packed(state: NDArray[np.float32]) -> str:
    """Return a hidden state as a row holds it."""
    return base64.b64encode(np.asarray(state, np.dtype("<f4")).tobytes()).decode()


def parse_row(data: Mapping[str, object], pair: str, decoder_sha256: str, source: str) -> Row:
    """Read a row.

    Raises:
        UsageProblem: it is not a row, or of another pair or decoder file.
    """
    try:
        row = Row.model_validate(data)
        _ = row.vector
    except ValueError as error:
        raise UsageProblem(
            f"{source} has a row that duet-device calibrate did not write: give another --rows"
        ) from error
    if row.pair != pair:
        raise UsageProblem(f"{source} is of {row.pair}, not of {pair}: give another --rows")
    if row.decoder_sha256 != decoder_sha256:
        raise UsageProblem(
            f"{source} was recorded with another decoder file of {pair}, and quantization changes "
            "probabilities: record it again in another file of --rows"
        )
    return row


def cases_of(
    rows: Sequence[Row],
    probe: Mapping[str, float],
    judge: Mapping[str, float],
    *,
    against_cloud: bool,
) -> dict[Decision, list[Case]]:
    """Return the questions as each decision sees them.

    Args:
        rows: all with answers, unless it is against the cloud.
        probe: values of the probe by the rows' ids; empty without a probe.
        judge: the same of the judge.
        against_cloud: right is what agrees with the answer from the whole signal. Decisions after
            that answer have nothing to be compared with then.
    """
    made: dict[Decision, list[Case]] = {"gate": [], "stop": []}
    if not against_cloud:
        made |= {"more": [], "mark": []}
    for row in rows:
        right = _rule_of(row, against_cloud=against_cloud)
        alone = _point(row.alone, right, _known("probe", probe, row))
        full = _point(row.full, right, _known("judge", judge, row))
        stops = [_point(each, right) for each in row.stops]
        made["gate"].append(Case((alone,), full))
        made["stop"].append(Case(tuple(stops), full))
        if not against_cloud:
            made["more"].append(Case((full,), _point(_supported(row), right)))
            made["mark"].append(Case((full,), full))
    return made


def answered_alone(rows: Sequence[Row], *, against_cloud: bool) -> list[bool]:
    """Return whether each question is answered right without a signal."""
    return [_rule_of(row, against_cloud=against_cloud)(row.alone.judged) for row in rows]


def answered_fully(rows: Sequence[Row]) -> list[bool]:
    """Return whether each question is answered right from the whole signal."""
    return [_rule_of(row, against_cloud=False)(row.full.judged) for row in rows]


def _known(name: str, values: Mapping[str, float], row: Row) -> dict[str, float]:
    return {name: values[row.id]} if row.id in values else {}


def _rule_of(row: Row, *, against_cloud: bool) -> Callable[[str], bool]:
    if against_cloud:
        final = final_answer(row.full.judged)
        reference = final.text if final else row.full.judged
    else:
        reference = row.answer or ""

    def right(text: str) -> bool:
        return is_right(text, reference)

    return right


def _point(
    outcome: Outcome, right: Callable[[str], bool], more: Mapping[str, float] = MappingProxyType({})
) -> Point:
    return Point({**outcome.measures, **more}, right(outcome.judged), outcome.tokens)


def _supported(row: Row) -> Outcome:
    """Return the answer that most of all signals lead to, with the tokens of all of them."""
    every = (row.full, *row.samples)
    values = [final.text if (final := final_answer(each.judged)) else None for each in every]
    support = Counter(value for value in values if value is not None)
    best = max(range(len(every)), key=lambda at: (support[values[at] or ""], -at))
    return every[best].model_copy(update={"tokens": sum(each.tokens for each in every)})
