"""Compare evidence with a threshold of a calibration."""

from duet_contract.calibration import Threshold
from duet_device.policy.measures import MEASURES, Evidence


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
