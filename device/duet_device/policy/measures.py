"""Measures of an answer or a draft, each higher where right is more likely.

A decision compares one of them with its threshold (`duet_contract.calibration.Threshold`). The same
measures serve every decision: at the gate and at each chunk they are those of a draft, and after
the answer those of the answer. None costs a decoding step of its own.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from duet_contract.calibration import Threshold
from duet_device.decoder.odds import Odds

_DECIMALS = re.compile(r"(-?\d+)\.(\d*?)0*")


def comparable(value: str | None) -> str | None:
    """Return a final value as values are compared: money may have zeros that other numbers lack.

    Examples:
        >>> comparable("71.20"), comparable("16.00"), comparable("16"), comparable("May 10")
        ('71.2', '16', '16', 'May 10')
    """
    found = _DECIMALS.fullmatch(value or "")
    if not found:
        return value
    return f"{found[1]}.{found[2]}" if found[2] else found[1]


@dataclass(frozen=True)
class Evidence:
    """What is known about an answer or a draft.

    Examples:
        >>> sure, unsure = Odds(-0.1, 0.8, 0.4), Odds(-0.7, 0.1, 1.2)
        >>> {name: round(value, 3) for name, value in measures(Evidence((sure, unsure))).items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'least_probability': 0.497, 'mean_log_probability': -0.4, 'margin': 0.1,
         'first_margin': 0.8, 'first_entropy': -0.4}
        >>> measures(Evidence(values=("9", "9", "8"), checks=(True, False)))
        {'agreement': 0.6666666666666666, 'checks': 0.5}
    """

    trace: tuple[Odds, ...] = ()
    """Odds of each token, the one that ended the answer included (`Generation.trace`)."""
    values: tuple[str | None, ...] = ()
    """Final values (`comparable`) of several answers, signals or drafts to the same question; the first
    is that of the answer in question, and None is one without a value."""
    checks: tuple[bool, ...] = ()
    """Whether each of the device's own checks holds (`duet_device.policy.checkers`)."""
    log_odds: float | None = None
    """Log odds that the answer is right, by the calibration's judge of all its features; None
    without one, or where a feature is unknown."""


def least_probability(evidence: Evidence) -> float | None:
    """Probability of the least likely token: `confidence` in receipts."""
    return min((each.probability for each in evidence.trace), default=None)


def mean_log_probability(evidence: Evidence) -> float | None:
    """Mean natural logarithm of the tokens' probabilities."""
    trace = evidence.trace
    return math.fsum(each.log_probability for each in trace) / len(trace) if trace else None


def margin(evidence: Evidence) -> float | None:
    """Least margin of the most likely token over the next one."""
    return min((each.margin for each in evidence.trace), default=None)


def first_margin(evidence: Evidence) -> float | None:
    """Margin at the first token."""
    return evidence.trace[0].margin if evidence.trace else None


def first_entropy(evidence: Evidence) -> float | None:
    """Entropy at the first token, negated, in nats."""
    return -evidence.trace[0].entropy if evidence.trace else None


def agreement(evidence: Evidence) -> float | None:
    """Share of the values that are the first one; None of fewer than two."""
    values = evidence.values
    if len(values) < 2:
        return None
    return 0.0 if values[0] is None else values.count(values[0]) / len(values)


def checks(evidence: Evidence) -> float | None:
    """Share of the device's own checks that hold; None without any."""
    held = evidence.checks
    return sum(held) / len(held) if held else None


def judge(evidence: Evidence) -> float | None:
    """Log odds by the calibration's judge."""
    return evidence.log_odds


MEASURES: Mapping[str, Callable[[Evidence], float | None]] = MappingProxyType(
    {
        each.__name__: each
        for each in (
            least_probability,
            mean_log_probability,
            margin,
            first_margin,
            first_entropy,
            agreement,
            checks,
            judge,
        )
    }
)
"""Every measure of an answer or a draft, by its name in a calibration."""


def measures(evidence: Evidence) -> dict[str, float]:
    """Return every measure that the evidence allows, by name."""
    found = {name: measure(evidence) for name, measure in MEASURES.items()}
    return {name: value for name, value in found.items() if value is not None}


def value_of(threshold: Threshold, evidence: Evidence) -> float | None:
    """Return the threshold's measure; None if the evidence does not allow it, or it is unknown."""
    measure = MEASURES.get(threshold.measure)
    return measure(evidence) if measure else None


def trusts(threshold: Threshold, evidence: Evidence) -> bool:
    """Return whether the device trusts itself; without a value, it does not.

    Examples:
        >>> threshold = Threshold(
        ...     measure="agreement", at_least=0.75, risk=0.1, failure=0.05, trusted=0.4, right=0.93,
        ...     signal_tokens=7.5,
        ... )
        >>> trusts(threshold, Evidence(values=("9", "9"))), trusts(threshold, Evidence())
        (True, False)
    """
    value = value_of(threshold, evidence)
    return value is not None and value >= threshold.at_least
