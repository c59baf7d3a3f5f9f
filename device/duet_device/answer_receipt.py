"""Write the receipt of an answer: what the question cost, in all its rounds."""

from collections.abc import Sequence
from dataclasses import replace

from duet_contract.quantities import mask
from duet_contract.receipt import (
    Bytes,
    Milliseconds,
    Outcome,
    Receipt,
    Round,
    Route,
    Source,
    Tokens,
    estimate_flops,
)
from duet_device.attempt import Attempt, Exchange, candidate, chance, is_doubtful, support
from duet_device.decoder.prompts import Prompts
from duet_device.events import Event, Result
from duet_device.link import Link
from duet_device.policy.rounds import best, compared
from duet_device.signal_stream import Signal


def write_receipt(
    exchange: Exchange,
    prompts: Prompts,
    attempts: Sequence[Attempt],
    links: Sequence[Link],
    source: Source,
    outcome: Outcome | None,
    request_id: str,
    lost: int = 0,
) -> tuple[Receipt, Attempt]:
    """Return the receipt of the best answer, and that answer.

    Args:
        exchange: the question.
        prompts: its prompts.
        attempts: all answers, at least one.
        links: all calls, those without an answer included.
        source: where the signals come from.
        outcome: what became of the first signal.
        request_id: id where there is no link.
        lost: signal tokens of a round that failed.
    """
    candidates = [candidate(exchange, each) for each in attempts]
    chosen = best(candidates)
    evidence = compared(candidates, chosen)
    given = attempts[chosen]
    manifest, signal, computed = exchange.manifest, given.signal, given.computed
    link = given.link
    tokens = lost + sum(each.tokens for each in attempts)
    signals = [each.signal for each in attempts if each.signal]
    receipt = Receipt(
        answer=given.text,
        signal=signal.text if signal else "",
        source=source,
        pair=manifest.reference,
        request_id=link.request.request_id if link else request_id,
        finish=given.generation.finish + _ended(signal),
        tokens=Tokens(
            question=prompts.question_tokens,
            signal=tokens,
            answer=len(given.ids),
            context=prompts.context_tokens,
            spared=_spared(exchange, signals, tokens),
        ),
        bytes=Bytes(up=sum(each.up for each in links), down=sum(each.down for each in links)),
        ms=Milliseconds(
            connect=_ms(exchange, links[0].connected) if links else None,
            first_signal=_ms(exchange, signals[0].first_chunk) if signals else None,
            signal=_ms(exchange, signal.last_chunk) if signal else None,
            first_answer=_ms(exchange, given.first),
            # With rounds, the answer is chosen only now: the last of them may have failed.
            total=exchange.deadline.elapsed_ms(
                None if exchange.settings.rounds > 1 else attempts[-1].end
            ),
        ),
        flops=estimate_flops(manifest, tokens if source == "duet" else 0, len(given.ids)),
        confidence=given.generation.confidence,
        chance=chance(exchange, evidence),
        low_confidence=is_doubtful(exchange, given, evidence),
        value=given.value,
        work=computed.work if computed else (),
        doubts=given.doubts,
        numbers_sent=_numbers_sent(exchange, links),
        outcome=outcome,
        server=link.sources[-1] if link and link.sources else None,
        resumed=sum(max(0, len(each.sources) - 1) for each in links),
        rounds=_rounds(exchange, attempts, chosen) if exchange.settings.rounds > 1 else (),
    )
    return receipt, given


def _ended(signal: Signal | None) -> str:
    if signal is None or signal.missing:
        return ""
    return "+enough" if signal.enough else "+budget" if signal.cut else ""


def _spared(exchange: Exchange, signals: Sequence[Signal], tokens: int) -> int | None:
    """Return the tokens that an early end spared, against the calibration's mean."""
    if exchange.calibration is None or not any(signal.enough for signal in signals):
        return None
    return max(0, round(exchange.calibration.tokens - tokens))


def _rounds(exchange: Exchange, attempts: Sequence[Attempt], chosen: int) -> tuple[Round, ...]:
    rounds = []
    for number, each in enumerate(attempts):
        measure, value = support(exchange, each.evidence)
        rounds.append(
            Round(
                tokens=each.tokens,
                answer=each.value,
                measure=measure,
                value=value,
                kept=number == chosen,
            )
        )
    return tuple(rounds)


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
            "numbers_sent": _numbers_sent(exchange, (unused,)),
        }
    return replace(event, receipt=event.receipt.model_copy(update=changes))


def _numbers_sent(exchange: Exchange, links: Sequence[Link]) -> int:
    """Count the numbers in what was sent; placeholders of a redaction do not count."""
    redaction = exchange.question.redaction
    kept = redaction.originals if redaction else ()
    sent = {request.question for link in links for request in link.requests}
    return max((len(mask(question, kept).quantities) for question in sent), default=0)


def _ms(exchange: Exchange, at: float | None) -> float | None:
    return None if at is None else exchange.deadline.elapsed_ms(at)
