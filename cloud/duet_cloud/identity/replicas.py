"""The replicas of a service, which devices learn at enrollment: one can fail, and others answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography import x509

from duet_cloud.errors import UsageError
from duet_cloud.identity.certificates import hosts, is_host
from duet_contract.addresses import Address
from duet_contract.errors import AddressError


@dataclass(frozen=True)
class Replicas:
    """Addresses of the replicas, and the name that their certificates share."""

    servers: tuple[str, ...] = ()
    """HOST:PORT of each, the preferred one first; empty: this server alone."""
    name: str = ""
    """A name in the certificate of each; empty: each certificate has its own host's."""

    @classmethod
    def parse(cls, servers: Sequence[str], name: str | None) -> Self:
        """Check addresses and name.

        Raises:
            UsageError: an address is not HOST:PORT, or the name cannot be in a certificate.
        """
        if name and not servers:
            raise UsageError("--replica-name needs --replica")
        if name and not is_host(name):
            raise UsageError(f"{name!r} is not a name that a certificate can have (--replica-name)")
        try:
            return cls(tuple(str(Address.parse(server)) for server in servers), name or "")
        except AddressError as error:
            raise UsageError(f"--replica: {error}") from error

    def check(self, certificate: x509.Certificate) -> None:
        """Check that this server's certificate has the shared name.

        Raises:
            UsageError: it has not.
        """
        if self.name and self.name not in hosts(certificate):
            raise UsageError(
                f"this server's certificate is not for {self.name} (--replica-name): "
                f"duet-cloud admin rotate --host {self.name} ..."
            )
