"""What stored answers cost, and what the large model alone would have cost, by day.

The large model alone is an estimate: its tokens come from each receipt (`Flops.reasoner_alone`);
each is taken to cost the bytes and the seconds that a token of this pair's signals cost.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from duet_contract.receipt import Receipt


@dataclass
class Cost:
    """Totals of some answers. What was saved can be negative."""

    answers: int = 0
    """Number of answers."""
    tokens: int = 0
    """Tokens that the large model generated."""
    tokens_saved: int = 0
    """Tokens that it would have generated alone, less `tokens`."""
    bytes: int = 0
    """Bytes on the link."""
    bytes_saved: int = 0
    """Bytes of the large model's own answers, less those on the link for the same answers."""
    seconds: float = 0.0
    """Seconds until the answers were complete."""
    seconds_saved: float = 0.0
    """Seconds of the large model's own answers, less those that the same answers took."""

    def add(self, other: "Cost") -> None:
        """Add the totals of other answers."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class _Rates:
    """A pair's cost of a large-model token, as this device measured it."""

    flops: float | None
    """Floating-point operations of a token; None if unknown."""
    bytes: float | None
    """Bytes that a token takes on the link; None if no signal was received."""
    seconds: float | None
    """Seconds between two tokens; None if no signal had two."""
    start: float | None
    """Seconds until the first token."""
    up: float | None
    """Bytes of a question."""


def by_day(
    answers: Iterable[tuple[dt.datetime, Receipt]], parameters: Callable[[str], int | None]
) -> dict[dt.date, Cost]:
    """Return the costs of each local day that has answers, the first day first.

    Args:
        answers: when each was given, and its receipt.
        parameters: returns how many parameters the large model of a pair (`id@version`) has, for
            pairs whose receipts do not say so; None if it is unknown.
    """
    known = sorted(answers, key=lambda answer: answer[0])
    rates = {
        pair: _rates([receipt for _, receipt in known if receipt.pair == pair], parameters)
        for pair in {receipt.pair for _, receipt in known}
    }
    days: dict[dt.date, Cost] = {}
    for at, receipt in known:
        day = days.setdefault(at.astimezone().date(), Cost())
        day.add(_cost(receipt, rates[receipt.pair]))
    return days


def _rates(receipts: list[Receipt], parameters: Callable[[str], int | None]) -> _Rates:
    """Return the rates of one pair's receipts."""
    signals = [each for each in receipts if each.source == "duet" and each.tokens.signal]
    long = [
        (each.ms.signal - each.ms.first_signal) / (each.tokens.signal - 1)
        for each in signals
        if each.tokens.signal > 1 and each.ms.signal and each.ms.first_signal
    ]
    flops = next((each.flops.reasoner / each.tokens.signal for each in signals), None)
    if flops is None and (count := parameters(receipts[0].pair)):
        flops = 2.0 * count
    return _Rates(
        flops=flops,
        bytes=_middle(each.bytes.down / each.tokens.signal for each in signals),
        seconds=_middle(each / 1e3 for each in long),
        start=_middle(each.ms.first_signal / 1e3 for each in signals if each.ms.first_signal),
        up=_middle(each.bytes.up for each in signals),
    )


def _middle(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None


def _generated(receipt: Receipt) -> int:
    """Return the tokens that the large model generated, those included that were not needed."""
    if receipt.source == "duet":
        return receipt.tokens.signal
    return receipt.route.unused_tokens if receipt.source == "device" and receipt.route else 0


def _cost(receipt: Receipt, rates: _Rates) -> Cost:
    size = receipt.bytes.up + receipt.bytes.down
    tokens = _generated(receipt)
    cost = Cost(1, tokens, bytes=size, seconds=receipt.ms.total / 1e3)
    if not rates.flops:
        return cost
    alone = receipt.flops.reasoner_alone / rates.flops
    cost.tokens_saved = round(alone - tokens)
    if rates.bytes is not None and rates.up is not None:
        cost.bytes_saved = round((receipt.bytes.up or rates.up) + alone * rates.bytes - size)
    if rates.seconds is not None and rates.start is not None:
        cost.seconds_saved = rates.start + alone * rates.seconds - cost.seconds
    return cost
