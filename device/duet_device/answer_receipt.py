"""Write the receipt of an answer: what the question cost, in all its rounds."""

from collections.abc import Sequence

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
from duet_device.attempt import Attempt, candidate, chance, is_doubtful, support
from duet_device.exchange import Exchange
from duet_device.link import Link
from duet_device.policy.rounds import best, compared
from duet_device.signal_stream import Signal


def write_receipt(
    exchange: Exchange,
    attempts: Sequence[Attempt],
    links: Sequence[Link],
    request_id: str,
    *,
    lost: int = 0,
    route: Route | None = None,
    unused: Link | None = None,
) -> tuple[Receipt, Attempt]:
    """Return the receipt of the best answer, and that answer.

    Args:
        exchange: the question.
        attempts: all answers, at least one.
        links: all calls, those without an answer included.
        request_id: id where there is no link.
        lost: signal tokens of a round that failed.
        route: what decided who answers.
        unused: a link that was cancelled, since the device answers alone.
    """
    candidates = [candidate(exchange, each) for each in attempts]
    chosen = best(candidates)
    evidence = compared(candidates, chosen)
    given = attempts[chosen]
    manifest, signal, computed = exchange.manifest, given.signal, given.computed
    link = given.link
    tokens = lost + sum(each.tokens for each in attempts)
    signals = [each.signal for each in attempts if each.signal]
    source: Source = "duet" if links and signals else "history" if signals else "device"
    generated = tokens if source == "duet" else route.unused_tokens if route else 0
    asked = [*links, unused] if unused else links
    prompts = exchange.prompts
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
            alone=None if (alone := manifest.reasoner_alone_tokens) is None else round(alone),
            peer=None if (peer := manifest.peer) is None else round(peer.tokens),
        ),
        bytes=Bytes(up=sum(each.up for each in asked), down=sum(each.down for each in asked)),
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
        flops=estimate_flops(manifest, generated, len(given.ids)),
        confidence=given.generation.confidence,
        chance=chance(exchange, evidence),
        low_confidence=is_doubtful(exchange, given, evidence),
        value=given.value,
        work=computed.work if computed else (),
        doubts=given.doubts,
        numbers_sent=_numbers_sent(exchange, asked),
        outcome=_outcome(attempts[0].signal, links[0]) if links else None,
        server=link.sources[-1] if link and link.sources else None,
        resumed=sum(max(0, len(each.sources) - 1) for each in links),
        rounds=_rounds(exchange, attempts, chosen) if exchange.settings.rounds > 1 else (),
        route=route,
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


def _outcome(signal: Signal | None, link: Link) -> Outcome:
    """Return what became of the first signal."""
    if signal is None:
        return "alone"
    if signal.missing:
        return "partial"
    if len(link.sources) < 2:
        return "complete"
    return "continued" if len(set(link.sources)) == 1 else "moved"


def _numbers_sent(exchange: Exchange, links: Sequence[Link]) -> int:
    """Count the numbers in what was sent; placeholders of a redaction do not count."""
    redaction = exchange.question.redaction
    kept = redaction.originals if redaction else ()
    sent = {request.question for link in links for request in link.requests}
    return max((len(mask(question, kept).quantities) for question in sent), default=0)


def _ms(exchange: Exchange, at: float | None) -> float | None:
    return None if at is None else exchange.deadline.elapsed_ms(at)
