"""Generate one answer after the decoder's sequence, and judge it."""

import codecs
import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from duet_contract.answers import final_answer
from duet_contract.quantities import ComputedAnswer, answer_of, mask
from duet_device.decoder.generation import Generation
from duet_device.events import AnswerText
from duet_device.exchange import Exchange
from duet_device.link import Link
from duet_device.policy.check import Answered, Check
from duet_device.policy.checkers import check
from duet_device.policy.features import features_of
from duet_device.policy.measures import (
    Evidence,
    checks,
    comparable,
    judge,
    least_probability,
    trusts,
    value_of,
)
from duet_device.policy.rounds import Candidate
from duet_device.question import Question
from duet_device.setting_types import MOST_ROUNDS
from duet_device.signal_stream import Signal

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


class AnswerWriter:
    """Turns answer tokens into text, and restores what was redacted in the question.

    Args:
        decoder: spells its tokens.
        question: its redaction holds the values to restore; None restores nothing.
    """

    def __init__(self, decoder: "Decoder", question: Question | None) -> None:
        self._decoder = decoder
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        redaction = question.redaction if question else None
        self._restorer = redaction.restorer() if redaction else None
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._text)

    def feed(self, token: int) -> str:
        """Return the characters that a token completes; often none."""
        return self._add(self._utf8.decode(self._decoder.detokenize(token)))

    def finish(self) -> str:
        """Return the characters that were held back, after the last token."""
        return self._add(self._utf8.decode(b"", True), last=True)

    def _add(self, text: str, *, last: bool = False) -> str:
        if self._restorer:
            text = self._restorer.feed(text) + (self._restorer.finish() if last else "")
        self._text.append(text)
        return text


def computed_answer(
    question: Question,
    signal: str | None,
    sentence: str,
    *,
    cut: bool = False,
    whole: bool = True,
) -> ComputedAnswer:
    """Build the answer of a pair that computes, and restore what was redacted in the question.

    Args:
        question: masked (`Question.for_pair`).
        signal: the cloud's formula; None if the decoder answers alone.
        sentence: the decoder's text, with formulas in braces.
        cut: whether the signal ended at its budget.
        whole: whether the reasoner ended it.
    """
    masked = question.masked or mask(question.sent)
    found = answer_of(masked, signal, sentence, cut=cut, whole=whole)
    return (
        replace(found, text=question.redaction.restore(found.text)) if question.redaction else found
    )


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
    features: Mapping[str, float] = field(default_factory=dict)
    """What a judge weighs (`duet_device.policy.features`)."""
    log_odds: float | None = None
    """By the calibration's judge, that it is right; None if unknown."""

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
        own = self.computed.doubts if self.computed else ()
        return (*own, *self.checkers_doubts)

    @property
    def checkers_doubts(self) -> tuple[str, ...]:
        """Doubts of the checkers (`duet_device.policy.checkers`)."""
        return tuple(each.doubt for each in self.checked if not each.holds and each.doubt)

    @property
    def evidence(self) -> Evidence:
        """What is known about the answer by itself."""
        held = tuple(each.holds for each in self.checked)
        return Evidence(
            tuple(self.generation.trace), (comparable(self.value),), held, self.log_odds
        )


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
            cut=signal.cut and not signal.missing if signal else False,
            whole=signal.whole if signal else True,
        )
        answer = computed.text
        if shown:
            yield AnswerText(answer)
    end = time.perf_counter()
    checked = _checks(exchange, signal, answer, computed)
    features = features_of(exchange.question, signal, generation.trace, checked, computed)
    weights = exchange.calibration.judge if exchange.calibration else None
    return Attempt(
        signal=signal,
        link=link,
        text=answer,
        ids=tuple(ids),
        generation=generation,
        first=first,
        end=end,
        computed=computed,
        checked=checked,
        tokens=tokens,
        features=features,
        log_odds=weights.log_odds(features) if weights else None,
    )


def judged_attempt(exchange: Exchange, signal: Signal | None) -> Attempt:
    """Return an answer after the decoder's sequence that no user sees, with its evidence.

    Args:
        exchange: question, pair and decoder.
        signal: evaluated; None if the device answers alone.
    """
    # An answer of several rounds is judged whether or not the pair is calibrated.
    judged = replace(exchange, settings=replace(exchange.settings, rounds=MOST_ROUNDS))
    return whole_attempt(judged, signal)


def whole_attempt(exchange: Exchange, signal: Signal | None) -> Attempt:
    """Return an answer after the decoder's sequence that no user sees; see `attempt`."""
    running = attempt(exchange, signal, shown=False)
    while True:
        try:
            next(running)
        except StopIteration as end:
            made: Attempt = end.value
            return made


def candidate(exchange: Exchange, one: Attempt) -> Candidate:
    """Return an answer as it is compared with those of other rounds."""
    measured = support(exchange, one.evidence)[1]
    return Candidate(one.evidence, measured, len(one.doubts), _weight(exchange, measured))


def _weight(exchange: Exchange, measured: float | None) -> float:
    more = exchange.calibration.more if exchange.calibration else None
    if more is None or more.measure != judge.__name__:
        return 1.0
    chance = more.chance(-math.inf if measured is None else measured)
    return 1.0 if chance is None else chance


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
    if one.signal is not None and one.signal.missing:
        return True
    mark = exchange.calibration.mark if exchange.calibration else None
    known = mark is not None and value_of(mark, evidence) is not None
    # A judge has weighed the checks of a formula; it knows better how much each says.
    if one.doubts and not (known and mark and mark.measure == judge.__name__ and _weighed(one)):
        return True
    if mark:
        # What cannot be measured here, such as the agreement of one answer, marks nothing.
        return known and not trusts(mark, evidence)
    return bool(one.generation.low_confidence(exchange.manifest.defaults.confidence))


def _weighed(one: Attempt) -> bool:
    """Return whether all doubts about an answer are among a judge's features."""
    computed = one.computed
    if computed is None or computed.checks is None or computed.failed or one.checkers_doubts:
        return False
    return one.signal is not None and one.signal.whole


def chance(exchange: Exchange, evidence: Evidence) -> float | None:
    """Return the probability by the calibration that an answer is right; None if unknown."""
    mark = exchange.calibration.mark if exchange.calibration else None
    value = value_of(mark, evidence) if mark else None
    return mark.chance(value) if mark and value is not None else None


def wants_more(exchange: Exchange, one: Attempt, evidence: Evidence) -> bool:
    """Return whether the answer is too doubtful to be given while more can be asked for."""
    more = exchange.calibration.more if exchange.calibration else None
    # A judge that lacks a feature says nothing; the checks do.
    if more and not (more.measure == judge.__name__ and value_of(more, evidence) is None):
        return not trusts(more, evidence)
    return is_doubtful(exchange, one, evidence)


def _checks(
    exchange: Exchange, signal: Signal | None, answer: str, computed: ComputedAnswer | None
) -> tuple[Check, ...]:
    """Return the checks of an answer: those of its formula, if it has one, and of the checkers."""
    text = signal.text if signal else ""
    question = exchange.question
    answered = Answered(
        question=question.asked,
        signal=text,
        whole=signal is None or (signal.whole and not signal.missing),
        answer=answer,
        self_contained=not (question.context or question.earlier),
    )
    if computed is None:
        return check(answered)
    return (*_computed_checks(computed), *check(answered, computed=True))


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
