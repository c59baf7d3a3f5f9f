"""Generate one answer after the decoder's sequence, and judge it."""

import time
from collections.abc import Generator
from dataclasses import dataclass, replace

from duet_contract.answers import final_answer
from duet_contract.quantities import ComputedAnswer
from duet_device.answer_text import AnswerWriter, computed_answer
from duet_device.decoder.generation import Generation
from duet_device.events import AnswerText
from duet_device.exchange import Exchange
from duet_device.link import Link
from duet_device.policy.check import Answered, Check
from duet_device.policy.checkers import check
from duet_device.policy.decisions import trusts, value_of
from duet_device.policy.measures import Evidence, checks, least_probability
from duet_device.policy.rounds import Candidate
from duet_device.settings import MOST_ROUNDS
from duet_device.signal_stream import Signal


@dataclass(frozen=True)
class Attempt:
    """A whole answer, and the signal that it follows. Times are `time.perf_counter()` values."""

    signal: Signal | None
    """The signal; None if the device answered alone."""
    link: Link | None
    """Where the signal came from; None if it is stored, or the cloud was not asked."""
    text: str
    """The answer's text."""
    ids: tuple[int, ...]
    """The answer's tokens."""
    generation: Generation
    """The finished generation."""
    first: float | None
    """Time of the first token; None without tokens."""
    end: float
    """Time of the answer's end."""
    computed: ComputedAnswer | None
    """The answer as a result with its work; None if the decoder's text is the answer."""
    checked: tuple[Check, ...]
    """What the device's own checks say."""
    tokens: int = 0
    """Signal tokens that the cloud generated for it."""

    @property
    def value(self) -> str | None:
        """Final value of the answer."""
        if self.computed:
            return self.computed.value or None
        final = final_answer(self.text)
        return (final.text if final else "") or None

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the answer may be wrong, each a phrase."""
        if self.computed:
            return self.computed.doubts
        return tuple(each.doubt for each in self.checked if not each.holds and each.doubt)

    @property
    def evidence(self) -> Evidence:
        """What is known about the answer by itself."""
        held = tuple(each.holds for each in self.checked)
        return Evidence(tuple(self.generation.trace), (self.value,), held)


def attempt(
    exchange: Exchange,
    signal: Signal | None,
    link: Link | None = None,
    *,
    tokens: int = 0,
    shown: bool = True,
) -> Generator[AnswerText, None, Attempt]:
    """Generate the answer after the decoder's sequence.

    A computed answer appears whole: its sentence has its numbers only when it is complete.

    Args:
        exchange: question, pair and decoder.
        signal: evaluated; None if the device answers alone.
        link: where it came from.
        tokens: signal tokens that the cloud generated for it.
        shown: whether to yield the text; another answer may be given in the end otherwise.
    """
    generation = Generation(
        exchange.decoder,
        ends=exchange.ends,
        limit=exchange.settings.answer_limit(exchange.manifest),
        temperature=exchange.temperature,
        seed=exchange.settings.seed,
        prompt_lookup=exchange.settings.prompt_lookup,
        judge=exchange.judges,
        drafted=signal.draft if signal else (),
        check=exchange.deadline.check,
    )
    is_computed = exchange.manifest.answers == "computed"
    writer = AnswerWriter(exchange.decoder, None if is_computed else exchange.question)
    ids: list[int] = []
    first: float | None = None
    for token in generation:
        if first is None:
            first = time.perf_counter()
        ids.append(token)
        if (text := writer.feed(token)) and shown and not is_computed:
            yield AnswerText(text)
    if (text := writer.finish()) and shown and not is_computed:
        yield AnswerText(text)
    computed: ComputedAnswer | None = None
    answer = writer.text
    if is_computed:
        computed = computed_answer(
            exchange.question,
            signal.text if signal else None,
            answer,
            cut=signal.cut if signal else False,
        )
        answer = computed.text
        if shown:
            yield AnswerText(answer)
    end = time.perf_counter()
    checked = _computed_checks(computed) if computed else _checks(exchange, signal, answer)
    return Attempt(
        signal, link, answer, tuple(ids), generation, first, end, computed, checked, tokens
    )


def judged_attempt(exchange: Exchange, signal: Signal | None) -> Attempt:
    """Return an answer after the decoder's sequence that no user sees, with its evidence.

    Args:
        exchange: question, pair and decoder.
        signal: evaluated; None if the device answers alone.
    """
    # An answer of several rounds is judged whether or not the pair is calibrated.
    judged = replace(exchange, settings=replace(exchange.settings, rounds=MOST_ROUNDS))
    running = attempt(judged, signal, shown=False)
    while True:
        try:
            next(running)
        except StopIteration as end:
            made: Attempt = end.value
            return made


def candidate(exchange: Exchange, one: Attempt) -> Candidate:
    """Return an answer as it is compared with those of other rounds."""
    return Candidate(one.evidence, support(exchange, one.evidence)[1], len(one.doubts))


def support(exchange: Exchange, evidence: Evidence) -> tuple[str, float | None]:
    """Return the measure by which answers that agree with equally many are compared, and its value.

    It is the one that the calibration asks for more by. Without one, the checks decide on a
    computed answer, and the least probability on any other.
    """
    more = exchange.calibration.more if exchange.calibration else None
    if more and more.measure != "agreement":
        return more.measure, value_of(more, evidence)
    measure = checks if exchange.manifest.answers == "computed" else least_probability
    return measure.__name__, measure(evidence)


def is_doubtful(exchange: Exchange, one: Attempt, evidence: Evidence) -> bool:
    """Return whether an answer is marked.

    Args:
        exchange: has the thresholds.
        one: the answer.
        evidence: of it, those of other rounds included.
    """
    if one.doubts or (one.signal is not None and one.signal.missing):
        return True
    calibration = exchange.calibration
    if calibration and calibration.mark:
        # What cannot be measured here, such as the agreement of one answer, marks nothing.
        known = value_of(calibration.mark, evidence) is not None
        return known and not trusts(calibration.mark, evidence)
    return bool(one.generation.low_confidence(exchange.manifest.defaults.confidence))


def wants_more(exchange: Exchange, one: Attempt, evidence: Evidence) -> bool:
    """Return whether the answer is too doubtful to be given while more can be asked for."""
    calibration = exchange.calibration
    if calibration and calibration.more:
        return not trusts(calibration.more, evidence)
    return is_doubtful(exchange, one, evidence)


def _checks(exchange: Exchange, signal: Signal | None, answer: str) -> tuple[Check, ...]:
    text = signal.text if signal else ""
    question = exchange.question
    return check(
        Answered(
            question=question.asked,
            signal=text,
            whole=signal is None or (signal.whole and not signal.missing),
            answer=answer,
            self_contained=not (question.context or question.earlier),
        )
    )


def _computed_checks(computed: ComputedAnswer) -> tuple[Check, ...]:
    """Return a formula's checks; without a value, one that does not hold."""
    found = computed.checks
    if found is None:
        return (Check(holds=False),)
    faults = (
        found.unused,
        found.idle_steps,
        found.turned,
        found.negative,
        found.fractional,
        found.unlike_units,
        found.wrong_unit,
    )
    return tuple(Check(not fault) for fault in faults)
