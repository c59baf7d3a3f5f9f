"""Whether a proxy is between this device and the server."""

import os
from urllib.parse import urlsplit

from duet_device.doctor.check import Finding, Machine
from duet_device.identity.credentials import parse_address

# In gRPC's order; the first one counts.
_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")


def check(machine: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
    name = next((name for name in _VARIABLES if os.environ.get(name)), None)
    address = parse_address(machine.server)
    if name is None:
        return Finding("ok", "none")
    if address.is_loopback:
        return Finding("ok", f"{name} is set; connections to this machine ignore it")
    # gRPC's own name for it is in lower case.
    skipped = os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy") or ""  # noqa: SIM112
    if any(address.host.endswith(name.strip()) for name in skipped.split(",") if name.strip()):
        return Finding("ok", f"{name} is set; no_proxy names {address.host}")
    # A proxy's URL may hold a password.
    where = urlsplit(os.environ[name]).hostname or "?"
    return Finding(
        "warning",
        f"{name} sends the connection through {where}, which must allow CONNECT to {address}",
        f"if the server is not reachable: export no_proxy={address.host}",
    )
