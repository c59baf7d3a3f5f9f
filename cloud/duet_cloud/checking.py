"""Checks options of the service without serving: pairs, addresses, certificates, limits."""

from collections.abc import Iterator

from duet_cloud.admission import Admission
from duet_cloud.identity.security import check_database, check_security
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.routing import Route, Routes
from duet_cloud.server import check_address
from duet_contract.pairs import find_pair


def check(options: ServeOptions) -> Iterator[str]:
    """Yield a line for each part that is right.

    Raises:
        CloudError, ContractError: what the service would refuse at its start.
    """
    pairs = [PairReasoner.load(find_pair(name)) for name in options.pairs]
    for route in Routes([Route(pair, Admission(1, 0)) for pair in pairs]).all:
        yield f"pair {route.name}: {route.pair.root}"
    secured = check_security(options)
    if described := check_database(options):
        yield f"database {described}"
    check_address(options, secured=secured)
    kind = "mutual TLS" if secured else "no transport security, loopback only"
    yield f"address {options.host}:{options.port}: {kind}"
