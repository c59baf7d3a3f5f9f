"""Whether a trusted publisher signed the pair."""

from duet_device.doctor.check import Finding, Machine
from duet_device.errors import UntrustedPair
from duet_device.trust.signatures import check_installed, signature_state


def check(machine: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
    pair = machine.pair
    try:
        check_installed(pair.directory, pair.manifest, allow_unsigned=False)
    except UntrustedPair as error:
        return Finding("error", str(error))
    return Finding("ok", signature_state(pair.directory, pair.manifest))
