"""Checks options of the service without serving: pairs, addresses, certificates, limits."""

from collections.abc import Iterator
from itertools import combinations

from duet_cloud.admission import Admission
from duet_cloud.errors import ListenError
from duet_cloud.identity.security import check_database, check_security
from duet_cloud.options import ServeOptions
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
    _check_ports(options)
    kind = "mutual TLS" if certificate else "no transport security, loopback only"
    yield f"address {options.host}:{options.port}: {kind}"


def _check_ports(options: ServeOptions) -> None:
    """Check that no two endpoints have one address.

    Raises:
        ListenError: two have.
    """
    endpoints = (
        ("--port", options.host, options.port),
        ("--enrollment-port", options.host, options.enrollment_port),
        ("--metrics-port", options.metrics_host, options.metrics_port),
        ("--health-port", options.health_host, options.health_port),
        ("--health-grpc-port", options.health_host, options.health_grpc_port),
    )
    for (one, host, port), (other, other_host, other_port) in combinations(endpoints, 2):
        if port and port == other_port and (host == other_host or _ALL & {host, other_host}):
            raise ListenError(f"{one} and {other} are both {port}: give each its own")
