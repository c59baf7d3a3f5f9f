"""Whether this device has a valid identity with the server."""

import time

from duet_device.doctor.check import Finding, Machine
from duet_device.errors import IdentityExpired
from duet_device.identity.credentials import identity_for, parse_address
from duet_device.vault.vault import passphrase_wanted


def check(machine: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
    address = parse_address(machine.server)
    identity = identity_for(machine.server)
    if identity is None:
        return Finding("ok", f"none is needed for {address}, which is on this machine")
    name = f"{identity.name or 'own certificate'} with {identity.server}"
    if identity.files is None and passphrase_wanted():
        return Finding("warning", f"{name}; its key needs a passphrase", "set DUET_PASSPHRASE")
    try:
        identity.credentials()
    except IdentityExpired as error:
        return Finding("error", str(error))
    if not identity.ends:
        return Finding("ok", name)
    ends = time.strftime("%Y-%m-%d", time.gmtime(identity.ends))
    return Finding("ok", f"{name}, valid until {ends}; it renews itself")
