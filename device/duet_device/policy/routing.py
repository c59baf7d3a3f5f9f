"""Decide who answers before the decoder is loaded: by the user's choice, or not yet."""

from duet_contract.calibration import Threshold
from duet_contract.manifest import Manifest
from duet_contract.receipt import Route
from duet_device.errors import AloneWorthless

PROBE = "probe"
"""Name of the measure that is a probe's log odds."""
AGREEMENT = "agreement"
"""Name of the measure that needs two drafts."""
_HALF = 0.5


def by_user(manifest: Manifest, *, force: bool) -> Route:
    """Return the route of a question that its user keeps on the device.

    Raises:
        AloneWorthless: the pair says that its decoder is not useful alone, and `force` is False.
    """
    if manifest.alone is None and not force:
        raise AloneWorthless(
            f"the decoder of {manifest.id} is not useful alone, as its manifest says: ask the "
            "cloud with --route cloud, or use it anyway with --route device --force"
        )
    return Route(taken="device")


def asks_meanwhile(threshold: Threshold, *, loaded: bool) -> bool:
    """Return whether the cloud is asked while the device still judges, and cancelled if not needed.

    Where the judgement takes long, which it does if the decoder is not loaded or drafts, and most
    questions need the cloud anyway.

    Args:
        threshold: of the gate.
        loaded: whether the decoder is loaded.

    Examples:
        >>> threshold = Threshold(
        ...     measure="margin", at_least=0.5, risk=0.1, failure=0.05, trusted=0.4, right=0.93,
        ...     signal_tokens=7.5,
        ... )
        >>> asks_meanwhile(threshold, loaded=True)
        True
    """
    return threshold.trusted < _HALF and (threshold.measure != PROBE or not loaded)
