"""Checks of a server and the way to it: identity, proxy, answers, pair."""

import os
import time
from urllib.parse import urlsplit

import grpc

from duet_contract.manifest import MANIFEST_NAME
from duet_contract.v1.pairs_pb2 import GetPairRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from duet_device.doctor.check import Finding, Machine
from duet_device.errors import CloudUnreachable, IdentityExpired, PairMismatch
from duet_device.identity.channel import open_channel
from duet_device.identity.credentials import identity_for, parse_address
from duet_device.link_errors import device_error
from duet_device.vault.vault import passphrase_wanted

# In gRPC's order; the first one counts.
_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_CALLS = 3
_TIMEOUT_S = 10.0


def certificate(machine: Machine) -> Finding:
    """Whether this device has a valid identity with the server."""
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


def proxy(machine: Machine) -> Finding:
    """Whether a proxy is between this device and the server."""
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


def server(machine: Machine) -> Finding:
    """Whether the server answers, and how fast."""
    times = []
    try:
        with open_channel(machine.server) as channel:
            stub = PairServiceStub(channel)
            for _ in range(_CALLS):
                began = time.perf_counter()
                stub.GetPair(GetPairRequest(), timeout=_TIMEOUT_S)
                times.append((time.perf_counter() - began) * 1e3)
    except grpc.RpcError as error:
        failure = device_error(error, machine.server)
        fix = "start it (duet-cloud serve), or choose another: duet-device config set server HOST"
        return Finding("error", str(failure), fix if isinstance(failure, CloudUnreachable) else "")
    first, *rest = times
    return Finding(
        "ok",
        f"{machine.server}: first call {first:.0f} ms with the connection, then {min(rest):.1f} ms",
    )


def match(machine: Machine) -> Finding:
    """Whether the server serves the pair whose decoder is here."""
    reference = machine.pair.manifest.reference
    try:
        with open_channel(machine.server) as channel:
            stub = PairServiceStub(channel)
            found = stub.GetPair(GetPairRequest(pair=reference), timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        failure = device_error(error, machine.server)
        if isinstance(failure, PairMismatch):
            return Finding("error", str(failure))
        return Finding("skipped", "needs the server; see: duet-device doctor server")
    if found.manifest != (machine.pair.directory / MANIFEST_NAME).read_bytes():
        return Finding("warning", f"{reference} is served with another manifest", machine.pull)
    return Finding("ok", f"{machine.server} serves {reference}")
