"""One question on a loaded decoder, as a generator of events: signal, answer, result.

Programs use `duet_device.Client`. The bench, which simulates links and devices, uses this module
and `duet_device.link` directly.
"""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from duet_contract.answers import final_answer
from duet_contract.manifest import Manifest
from duet_contract.quantities import ComputedAnswer, mask
from duet_contract.receipt import (
    Bytes,
    Milliseconds,
    Outcome,
    Receipt,
    Route,
    Source,
    Tokens,
    estimate_flops,
)
from duet_device.answer_text import AnswerWriter, computed_answer
from duet_device.deadline import Deadline
from duet_device.decoder.generation import Generation
from duet_device.decoder.llama import Decoder
from duet_device.decoder.lookahead import Drafted
from duet_device.decoder.prompts import Prompts, build_prompts, check_room
from duet_device.decoder.signal_result import contradicts
from duet_device.errors import CloudBusy, CloudUnreachable, SignalLate, refused_alone
from duet_device.events import AnswerText, Event, Note, Result, SignalText, Timings
from duet_device.link import Link
from duet_device.question import Question
from duet_device.settings import Settings
from duet_device.signal_stream import Signal, read_signal

# Tokens of a question that is not long.
_USUAL_QUESTION = 256
# Tokens of context that a conversation has from the start.
_CONVERSATION = 4096
# The device's own part, in seconds, on a machine that computes it in no time.
_LEAST_OWN_S = 0.2
# Of an answer, where the pair has no figures.
_LIKELY_ANSWER_TOKENS = 256


@dataclass(frozen=True)
class Exchange:
    """Inputs of one answer."""

    question: Question
    """The question; its size was checked."""
    manifest: Manifest
    """The pair's."""
    settings: Settings
    """Checked settings."""
    decoder: Decoder
    """Loaded; keeps its sequence for the next question."""
    deadline: Deadline
    """Checked between tokens and batches."""


def answer(exchange: Exchange, request_id: str, link: Link | None = None) -> Generator[Event]:
    """Answer a question with the signal of a link, a stored signal, or the device alone.

    Args:
        exchange: question, pair and decoder.
        request_id: id in the receipt where there is no link.
        link: source of the signal; its creator cancels it (`duet_device.link.cancelled`).

    Yields:
        Events as they happen; a `Result` is the last.

    Raises:
        DeviceError: the question was not answered.
    """
    exchange = replace(exchange, question=exchange.question.for_pair(exchange.manifest))
    decoder, deadline = exchange.decoder, exchange.deadline
    ready = deadline.elapsed_ms()
    budget = exchange.settings.budget_for(exchange.manifest)
    prompts = build_prompts(decoder, exchange.manifest, exchange.question, budget)
    prefix: float | None = None
    signal: Signal | None = None
    source: Source = "device"
    outcome: Outcome | None = None
    if exchange.question.signal:
        signal, source = _evaluate_stored(exchange, prompts), "history"
        if signal.text:
            yield SignalText(signal.text)
    elif link:
        # The order of fallback. The link continues a signal that was cut, on the same server or on
        # another; then the signal so far has to do, then the device alone, then an error.
        require_cloud = exchange.settings.require_cloud
        try:
            prefix, own_part_s = _evaluate_prefix(exchange, prompts)
            if not require_cloud:
                link.kept_back = own_part_s
            signal = yield from read_signal(
                link,
                decoder,
                exchange.manifest.decoder.vocabulary,
                prompts.suffix,
                lambda prompt: _reserve(exchange, prompt),
                ends=_ends(exchange),
                greedy=_temperature(exchange) == 0,
                accept_part=not require_cloud,
            )
            source, outcome = "duet", _outcome(link, signal)
            if signal.missing:
                yield Note(f"{signal.missing}; answering from the signal so far")
        except (CloudUnreachable, CloudBusy, SignalLate) as error:
            if require_cloud:
                raise
            if exchange.manifest.alone is None:
                raise refused_alone(error, exchange.manifest.id) from error
            yield Note(f"{error}; the device answers alone")
            outcome = "alone"
    if signal is None:
        _evaluate_alone(exchange, prompts)
    answered = yield from _generate(exchange, signal)
    yield Result(
        _receipt(exchange, prompts, source, outcome, signal, answered, request_id, link),
        Timings(
            decoder_ready=ready,
            prefix=prefix,
            done=_ms(exchange, signal.done_at) if signal else None,
            cloud=signal.done if signal else None,
            guessed=answered.generation.guesses[0],
            accepted=answered.generation.guesses[1],
        ),
        signal.ids if signal else (),
        answered.ids,
    )


def with_route(exchange: Exchange, event: Event, route: Route, unused: Link | None = None) -> Event:
    """Return an event of `answer`; a result with the route in its receipt.

    Args:
        exchange: the one that was answered.
        event: of it.
        route: what decided who answers.
        unused: a link that was cancelled, since the device answers alone.
    """
    if not isinstance(event, Result):
        return event
    changes: dict[str, object] = {"route": route}
    if unused:
        changes |= {
            "bytes": Bytes(up=unused.up, down=unused.down),
            "flops": estimate_flops(
                exchange.manifest, route.unused_tokens, event.receipt.tokens.answer
            ),
            "numbers_sent": _numbers_sent(exchange, unused),
        }
    return replace(event, receipt=event.receipt.model_copy(update=changes))


def warm(decoder: Decoder, manifest: Manifest, settings: Settings, deadline: Deadline) -> None:
    """Make room for a usual question, and evaluate what every prompt begins with.

    Raises:
        ModelProblem: the decoder cannot be used, or there is not enough memory.
    """
    budget = settings.budget_for(manifest)
    prompts = build_prompts(decoder, manifest, Question("?").for_pair(manifest), budget)
    question = min(manifest.limits.question, _USUAL_QUESTION)
    room = len(prompts.prefix) + question + budget + len(prompts.suffix) + manifest.defaults.answer
    decoder.reserve(min(room, manifest.decoder.context))
    decoder.become(prompts.prefix, deadline.check)


def _evaluate_prefix(exchange: Exchange, prompts: Prompts) -> tuple[float, float]:
    """Evaluate the prompt before the signal.

    The suffix may be empty, and then the first answer token comes from the last chunk, or from the
    prefix where the signal is empty.

    Returns:
        When that was done, in milliseconds; seconds that the device needs for its own part.
    """
    decoder, budget = exchange.decoder, exchange.settings.budget_for(exchange.manifest)
    _reserve(exchange, len(prompts.prefix) + budget + len(prompts.suffix))
    began = time.perf_counter()
    decoder.become(prompts.prefix, exchange.deadline.check)
    done = time.perf_counter()
    # One token again, to learn how long one of the answer will take; the cloud is at work meanwhile.
    decoder.keep(len(prompts.prefix) - 1)
    decoder.evaluate(prompts.prefix[-1:])
    step_s = time.perf_counter() - done
    own_part_s = done - began + step_s * _answer_tokens(exchange.manifest)
    limit = exchange.deadline.seconds
    return exchange.deadline.elapsed_ms(), min(max(own_part_s, _LEAST_OWN_S), limit / 2)


def _answer_tokens(manifest: Manifest) -> float:
    """Return how long an answer may well be: twice the mean of the pair's figures."""
    means = [figure.answer_tokens for figure in manifest.evaluation]
    likely = 2 * max(means) if means else _LIKELY_ANSWER_TOKENS
    return min(likely, manifest.defaults.answer)


def _outcome(link: Link, signal: Signal) -> Outcome:
    if signal.missing:
        return "partial"
    if len(link.sources) < 2:
        return "complete"
    return "continued" if len(set(link.sources)) == 1 else "moved"


def _evaluate_stored(exchange: Exchange, prompts: Prompts) -> Signal:
    stored = exchange.question.signal
    assert stored is not None
    ids = [*prompts.prefix, *stored.ids, *prompts.suffix]
    _reserve(exchange, len(ids))
    exchange.decoder.become(ids, exchange.deadline.check)
    return Signal(stored.text, tuple(stored.ids), stored.tokens, stored.cut)


def _evaluate_alone(exchange: Exchange, prompts: Prompts) -> None:
    ids = prompts.alone()
    _reserve(exchange, len(ids))
    exchange.decoder.become(ids, exchange.deadline.check)


def _reserve(exchange: Exchange, prompt: int) -> None:
    """Reserve context for `prompt` tokens and the answer, up to the decoder's window."""
    check_room(exchange.manifest, prompt)
    most = exchange.manifest.decoder.context
    room = prompt + exchange.manifest.defaults.answer
    if exchange.question.earlier is not None:
        # A context that grows is evaluated again: in a conversation it grows rarely.
        room = max(_CONVERSATION, 1 << room.bit_length())
    exchange.decoder.reserve(min(most, room))


@dataclass(frozen=True)
class _Answered:
    """A whole answer. Times are `time.perf_counter()` values."""

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


def _generate(exchange: Exchange, signal: Signal | None) -> Generator[AnswerText, None, _Answered]:
    """Generate the answer after the decoder's sequence.

    A computed answer appears whole: its sentence has its numbers only when it is complete.
    """
    generation = _generation(exchange, signal.draft if signal else ())
    is_computed = exchange.manifest.answers == "computed"
    writer = AnswerWriter(exchange.decoder, None if is_computed else exchange.question)
    ids: list[int] = []
    first: float | None = None
    for token in generation:
        if first is None:
            first = time.perf_counter()
        ids.append(token)
        if (text := writer.feed(token)) and not is_computed:
            yield AnswerText(text)
    if (text := writer.finish()) and not is_computed:
        yield AnswerText(text)
    if not is_computed:
        return _Answered(writer.text, tuple(ids), generation, first, time.perf_counter(), None)
    computed = computed_answer(
        exchange.question,
        signal.text if signal else None,
        writer.text,
        cut=signal.cut if signal else False,
    )
    yield AnswerText(computed.text)
    return _Answered(computed.text, tuple(ids), generation, first, time.perf_counter(), computed)


def _generation(exchange: Exchange, drafted: Sequence[Drafted]) -> Generation:
    manifest, settings = exchange.manifest, exchange.settings
    return Generation(
        exchange.decoder,
        ends=_ends(exchange),
        limit=settings.answer_limit(manifest),
        temperature=_temperature(exchange),
        seed=settings.seed,
        prompt_lookup=settings.prompt_lookup,
        judge=manifest.defaults.confidence is not None,
        drafted=drafted,
        check=exchange.deadline.check,
    )


def _ends(exchange: Exchange) -> frozenset[int]:
    """Return the tokens that end an answer."""
    texts = exchange.manifest.decoder.end_of_answer
    return frozenset(i for text in texts for i in exchange.decoder.encode_template(text))


def _temperature(exchange: Exchange) -> float:
    chosen = exchange.settings.temperature
    return exchange.manifest.defaults.temperature if chosen is None else chosen


def _receipt(
    exchange: Exchange,
    prompts: Prompts,
    source: Source,
    outcome: Outcome | None,
    signal: Signal | None,
    answered: _Answered,
    request_id: str,
    link: Link | None,
) -> Receipt:
    manifest, generation = exchange.manifest, answered.generation
    tokens = signal.tokens if signal else 0
    computed = answered.computed
    doubts = computed.doubts if computed else ()
    doubtful = bool(doubts) or outcome == "partial"
    # What a cut signal computed last need not be its result.
    if signal and not signal.cut and computed is None:
        doubtful = doubtful or contradicts(signal.text, answered.text)
    final = None if computed else final_answer(answered.text)
    value = (computed.value if computed else final.text if final else "") or None
    low = generation.low_confidence(manifest.defaults.confidence)
    return Receipt(
        answer=answered.text,
        signal=signal.text if signal else "",
        source=source,
        pair=manifest.reference,
        request_id=link.request.request_id if link else request_id,
        finish=generation.finish
        + ("+budget" if signal and signal.cut and not signal.missing else ""),
        tokens=Tokens(
            question=prompts.question_tokens,
            signal=tokens,
            answer=len(answered.ids),
            context=prompts.context_tokens,
        ),
        bytes=Bytes(up=link.up if link else 0, down=link.down if link else 0),
        ms=Milliseconds(
            connect=_ms(exchange, link.connected) if link else None,
            first_signal=_ms(exchange, signal.first_chunk) if signal else None,
            signal=_ms(exchange, signal.last_chunk) if signal else None,
            first_answer=_ms(exchange, answered.first),
            total=exchange.deadline.elapsed_ms(answered.end),
        ),
        flops=estimate_flops(manifest, tokens if source == "duet" else 0, len(answered.ids)),
        confidence=generation.confidence,
        low_confidence=doubtful or bool(low),
        value=value,
        work=computed.work if computed else (),
        doubts=doubts,
        numbers_sent=_numbers_sent(exchange, link),
        outcome=outcome,
        server=link.sources[-1] if link and link.sources else None,
        resumed=max(0, len(link.sources) - 1) if link else 0,
    )


def _numbers_sent(exchange: Exchange, link: Link | None) -> int:
    """Count the numbers in what was sent; placeholders of a redaction do not count."""
    redaction = exchange.question.redaction
    kept = redaction.originals if redaction else ()
    sent = {request.question for request in link.requests} if link else set()
    return max((len(mask(question, kept).quantities) for question in sent), default=0)


def _ms(exchange: Exchange, at: float | None) -> float | None:
    return None if at is None else exchange.deadline.elapsed_ms(at)
