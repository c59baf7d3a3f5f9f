"""Answer one question on a loaded decoder, as a generator of events: signal, answer, result."""

import time
from collections.abc import Callable, Generator

from duet_contract.manifest import Manifest
from duet_contract.receipt import Route
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_device.answer_receipt import write_receipt
from duet_device.attempt import Attempt, attempt, candidate, wants_more
from duet_device.errors import (
    CloudBusy,
    CloudUnreachable,
    DeviceError,
    Interrupted,
    SignalLate,
    refused_alone,
)
from duet_device.events import AnswerText, Event, Note, Result, SignalText, Timings
from duet_device.exchange import Exchange
from duet_device.link import Link, cancelled
from duet_device.policy.readiness import CalibratedStop
from duet_device.policy.rounds import best, compared, following, goes_on, is_settled
from duet_device.signal_stream import Signal, read_signal

# Tokens of a question that is not long.
_USUAL_QUESTION = 256
# The device's own part, in seconds, on a machine that computes it in no time.
_LEAST_OWN_S = 0.2
# Of an answer, where the pair has no figures.
_LIKELY_ANSWER_TOKENS = 256


def answer(
    exchange: Exchange,
    request_id: str,
    link: Link | None = None,
    ask: Callable[[ReasonRequest], Link] | None = None,
    route: Route | None = None,
) -> Generator[Event]:
    """Answer a question with the signal of a link, a stored signal, or the device alone.

    Args:
        exchange: question, pair and decoder.
        request_id: id in the receipt where no signal was received.
        link: source of the signal; its creator cancels it (`duet_device.link.cancelled`).
        ask: begins a further round (`Settings.rounds`), which is cancelled here; None for none.
        route: what decided who answers. Where it is the device, the link is not read.

    Yields:
        Events as they happen; a `Result` is the last.

    Raises:
        DeviceError: the question was not answered.
    """
    unused = None
    if route and route.taken == "device":
        link, unused = None, link
    prefix: float | None = None
    signal: Signal | None = None
    if exchange.question.signal:
        signal = _evaluate_stored(exchange)
        if signal.text:
            yield SignalText(signal.text)
    elif link:
        prefix, own_part_s = _evaluate_prefix(exchange)
        signal = yield from _first_signal(exchange, link, own_part_s)
    if signal is None:
        exchange.become(exchange.prompts.alone())
    is_alone = link is not None and signal is None
    rounds = exchange.settings.rounds if ask and link and not is_alone else 1
    first = yield from attempt(
        exchange, signal, link, tokens=signal.tokens if signal else 0, shown=rounds == 1
    )
    attempts, links, lost = [first], [link] if link else [], 0
    if ask and link and signal and rounds > 1 and not signal.missing:
        lost = yield from _further(exchange, ask, link, attempts, links)
    receipt, given = write_receipt(
        exchange, attempts, links, request_id, lost=lost, route=route, unused=unused
    )
    if rounds > 1:
        yield AnswerText(given.text)
    end = given.signal
    yield Result(
        receipt,
        Timings(
            prefix=prefix,
            done=exchange.deadline.elapsed_ms(end.done_at) if end and end.done_at else None,
            cloud=end.done if end else None,
            guessed=given.generation.guesses[0],
            accepted=given.generation.guesses[1],
        ),
        end.ids if end else (),
        given.ids,
    )


def warm(exchange: Exchange) -> None:
    """Make room for a usual question, and evaluate what every prompt begins with.

    Raises:
        ModelProblem: the decoder cannot be used, or there is not enough memory.
    """
    manifest, prompts = exchange.manifest, exchange.prompts
    question = min(manifest.limits.question, _USUAL_QUESTION)
    room = manifest.decoder.context - len(prompts.prefix) - 1
    exchange.become(
        prompts.prefix, more=min(room, question + exchange.budget + len(prompts.suffix))
    )


def _first_signal(
    exchange: Exchange, link: Link, own_part_s: float
) -> Generator[Note | SignalText, None, Signal | None]:
    """Read the signal; return None where the device is to answer alone.

    The order of fallback: the link continues a signal that was cut, on the same server or on
    another; then the signal so far has to do, then the device alone, then an error.
    """
    require_cloud = exchange.settings.require_cloud
    if not require_cloud:
        link.kept_back = own_part_s
    stop = exchange.calibration.stop if exchange.calibration else None
    enough = CalibratedStop(stop) if stop and exchange.settings.stop == "auto" else None
    try:
        signal = yield from read_signal(
            exchange, link, enough=enough, accept_part=not require_cloud
        )
    except (CloudUnreachable, CloudBusy, SignalLate) as error:
        if require_cloud:
            raise
        if exchange.manifest.alone is None:
            raise refused_alone(error, exchange.manifest.id) from error
        yield Note(f"{error}; the device answers alone")
        return None
    if signal.missing:
        yield Note(f"{signal.missing}; answering from the signal so far")
    return signal


def _further(
    exchange: Exchange,
    ask: Callable[[ReasonRequest], Link],
    link: Link,
    attempts: list[Attempt],
    links: list[Link],
) -> Generator[Event, None, int]:
    """Ask for more while the answer is doubtful; append to `attempts` and `links`.

    Returns:
        Signal tokens of a round that failed.
    """
    rounds, manifest = exchange.settings.rounds, exchange.manifest
    while len(attempts) < rounds:
        candidates = [candidate(exchange, each) for each in attempts]
        leader = best(candidates)
        if is_settled(candidates, rounds) or not wants_more(
            exchange, attempts[leader], compared(candidates, leader)
        ):
            return 0
        before = attempts[-1].signal
        assert before is not None
        start = before if goes_on(before, manifest) else None
        what = "asking for more of the signal" if start else "asking for another signal"
        yield Note(f"doubtful answer, {what}: round {len(attempts) + 1} of at most {rounds}")
        again = ask(following(link.requests[0], before, manifest, exchange.budget, len(attempts)))
        again.kept_back = link.kept_back
        links.append(again)
        held = start.tokens if start else 0
        try:
            one = yield from cancelled(again, _round(exchange, again, start, held))
        except Interrupted:
            raise
        except DeviceError as error:
            yield Note(f"{error}; the best answer so far counts")
            count = len(again.held.tokens.ids) or len(exchange.decoder.encode_text(again.held.text))
            return max(0, count - held)
        attempts.append(one)
    return 0


def _round(
    exchange: Exchange, link: Link, start: Signal | None, held: int
) -> Generator[Note | SignalText | AnswerText, None, Attempt]:
    """Read the signal of a further round, behind `start` if it continues one, and answer."""
    exchange.become([*exchange.prompts.prefix, *(start.ids if start else ())])
    signal = yield from read_signal(exchange, link, start=start)
    tokens = max(0, signal.tokens - held)
    return (yield from attempt(exchange, signal, link, tokens=tokens, shown=False))


def _evaluate_prefix(exchange: Exchange) -> tuple[float, float]:
    """Evaluate the prompt before the signal.

    The suffix may be empty, and then the first answer token comes from the last chunk, or from the
    prefix where the signal is empty.

    Returns:
        When that was done, in milliseconds; seconds that the device needs for its own part.
    """
    decoder, prompts = exchange.decoder, exchange.prompts
    exchange.reserve(len(prompts.prefix) + exchange.budget + len(prompts.suffix))
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


def _evaluate_stored(exchange: Exchange) -> Signal:
    stored, prompts = exchange.question.signal, exchange.prompts
    assert stored is not None
    exchange.become([*prompts.prefix, *stored.ids, *prompts.suffix])
    return Signal(stored.text, tuple(stored.ids), stored.tokens, stored.cut, enough=stored.enough)
