"""Checks options of the service without serving: pairs, addresses, certificates, limits."""

import socket
from collections.abc import Iterator
from itertools import combinations

from duet_cloud.admission import Admission
from duet_cloud.errors import ListenError
from duet_cloud.identity.security import check_database, check_security
from duet_cloud.options import ServeOptions
from duet_cloud.probes import listening
from duet_cloud.reasoner import PairReasoner
from duet_cloud.routing import Route, Routes
from duet_cloud.server import check_address
from duet_contract.pairs import find_pair

# Hosts that are every address.
_ALL = {"0.0.0.0", "::"}  # noqa: S104  # nosec B104


def check(options: ServeOptions) -> Iterator[str]:
    """Yield a line for each part that is right.

    Raises:
        CloudError, ContractError: what the service would refuse at its start.
    """
    pairs = [PairReasoner.load(find_pair(name)) for name in options.pairs]
    for route in Routes([Route(pair, Admission(1, 0)) for pair in pairs]).all:
        yield f"pair {route.name}: {route.pair.root}"
    if certificate := check_security(options):
        yield f"certificate {certificate}"
    if described := check_database(options):
        yield f"database {described}"
    check_address(options, secured=bool(certificate))
    _check_endpoints(options)
    kind = "mutual TLS" if certificate else "no transport security, loopback only"
    yield f"address {options.host}:{options.port}: {kind}"


def _check_endpoints(options: ServeOptions) -> None:
    """Check that endpoints have addresses of this host, and no two the same.

    Raises:
        ListenError: one has none, or two have one.
    """
    endpoints = (
        ("--port", options.host, options.port),
        ("--enrollment-port", options.host, options.enrollment_port),
        ("--metrics-port", options.metrics_host, options.metrics_port),
        ("--health-port", options.health_host, options.health_port),
        ("--health-grpc-port", options.health_host, options.health_grpc_port),
    )
    for name, host, port in endpoints:
        if port is not None:
            # Any port: the service itself may run.
            with listening(f"use {name}", host, port):
                _bind(host)
    for (one, host, port), (other, other_host, other_port) in combinations(endpoints, 2):
        if port and port == other_port and (host == other_host or _ALL & {host, other_host}):
            raise ListenError(f"{one} and {other} are both {port}: give each its own")


def _bind(host: str) -> None:
    """Bind a free port of a host, and give it back.

    Raises:
        OSError, UnicodeError: the host is unknown, or another one.
    """
    failed: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.bind(address)
            return
        except OSError as error:  # of the other addresses of the name, one may do
            failed = error
    if failed:
        raise failed
