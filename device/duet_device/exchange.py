"""One question on a loaded decoder, as a generator of events: signal, answer, result.

Programs use `duet_device.Client`. The bench, which simulates links and devices, uses this module
and `duet_device.link` directly.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import replace

from duet_contract.manifest import Manifest
from duet_contract.receipt import Outcome, Source
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_device.answer_receipt import write_receipt
from duet_device.attempt import Attempt, Exchange, attempt, candidate, wants_more
from duet_device.deadline import Deadline
from duet_device.decoder.llama import Decoder
from duet_device.decoder.prompts import Prompts, build_prompts, check_room
from duet_device.errors import (
    CloudBusy,
    CloudRefused,
    CloudUnreachable,
    DeadlineExceeded,
    PairMismatch,
    SignalLate,
    refused_alone,
)
from duet_device.events import AnswerText, Event, Note, Result, SignalText, Timings
from duet_device.link import Link, cancelled
from duet_device.policy.readiness import CalibratedStop
from duet_device.policy.rounds import best, compared, following, goes_on, is_settled
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


def answer(
    exchange: Exchange,
    request_id: str,
    link: Link | None = None,
    ask: Callable[[ReasonRequest], Link] | None = None,
) -> Generator[Event]:
    """Answer a question with the signal of a link, a stored signal, or the device alone.

    Args:
        exchange: question, pair and decoder.
        request_id: id in the receipt where there is no link.
        link: source of the signal; its creator cancels it (`duet_device.link.cancelled`).
        ask: begins a further round (`Settings.rounds`), which is cancelled here; None for none.

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
            stop = exchange.calibration.stop if exchange.calibration else None
            enough = CalibratedStop(stop) if stop and exchange.settings.stop == "auto" else None
            signal = yield from read_signal(
                link,
                decoder,
                exchange.manifest.decoder.vocabulary,
                prompts.suffix,
                lambda prompt: _reserve(exchange, prompt),
                ends=exchange.ends,
                greedy=exchange.temperature == 0,
                enough=enough,
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
    rounds = exchange.settings.rounds if ask and link and outcome != "alone" else 1
    first = yield from attempt(
        exchange, signal, link, tokens=signal.tokens if signal else 0, shown=rounds == 1
    )
    attempts, links, lost = [first], [link] if link else [], 0
    if ask and link and signal and rounds > 1 and not signal.missing:
        lost = yield from _further(exchange, prompts, ask, link, attempts, links)
    receipt, given = write_receipt(
        exchange, prompts, attempts, links, source, outcome, request_id, lost
    )
    if rounds > 1:
        yield AnswerText(given.text)
    yield Result(
        receipt,
        Timings(
            decoder_ready=ready,
            prefix=prefix,
            done=_ms(exchange, given.signal.done_at) if given.signal else None,
            cloud=given.signal.done if given.signal else None,
            guessed=given.generation.guesses[0],
            accepted=given.generation.guesses[1],
        ),
        given.signal.ids if given.signal else (),
        given.ids,
    )


def _further(
    exchange: Exchange,
    prompts: Prompts,
    ask: Callable[[ReasonRequest], Link],
    link: Link,
    attempts: list[Attempt],
    links: list[Link],
) -> Generator[Event, None, int]:
    """Ask for more while the answer is doubtful; append to `attempts` and `links`.

    Returns:
        Signal tokens of a round that failed.
    """
    rounds, budget = exchange.settings.rounds, exchange.settings.budget_for(exchange.manifest)
    request = link.requests[0]
    while len(attempts) < rounds:
        candidates = [candidate(exchange, each) for each in attempts]
        leader = best(candidates)
        if is_settled(candidates, rounds) or not wants_more(
            exchange, attempts[leader], compared(candidates, leader)
        ):
            return 0
        before = attempts[-1].signal
        assert before is not None
        continues = goes_on(before, exchange.manifest)
        what = "asking for more of the signal" if continues else "asking for another signal"
        yield Note(f"doubtful answer, {what}: round {len(attempts) + 1} of at most {rounds}")
        again = ask(following(request, before, exchange.manifest, budget, len(attempts)))
        again.kept_back = link.kept_back
        links.append(again)
        try:
            one = yield from cancelled(
                again, _round(exchange, prompts, again, before if continues else None)
            )
        except (CloudUnreachable, CloudRefused, PairMismatch, DeadlineExceeded) as error:
            yield Note(f"{error}; the best answer so far counts")
            held = again.held
            count = len(held.tokens.ids) or len(exchange.decoder.encode_text(held.text))
            return max(0, count - (before.tokens if continues else 0))
        attempts.append(one)
    return 0


def _round(
    exchange: Exchange, prompts: Prompts, link: Link, start: Signal | None
) -> Generator[Note | SignalText | AnswerText, None, Attempt]:
    """Read the signal of a further round, behind `start` if it continues one, and answer."""
    decoder = exchange.decoder
    decoder.become([*prompts.prefix, *(start.ids if start else ())], exchange.deadline.check)
    signal = yield from read_signal(
        link,
        decoder,
        exchange.manifest.decoder.vocabulary,
        prompts.suffix,
        lambda prompt: _reserve(exchange, prompt),
        ends=exchange.ends,
        greedy=exchange.temperature == 0,
        start=start,
    )
    tokens = signal.tokens - (start.tokens if start else 0)
    return (yield from attempt(exchange, signal, link, tokens=max(0, tokens), shown=False))


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
    return Signal(stored.text, tuple(stored.ids), stored.tokens, stored.cut, enough=stored.enough)


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


def _ms(exchange: Exchange, at: float | None) -> float | None:
    return None if at is None else exchange.deadline.elapsed_ms(at)
