"""The servers of a client: those of its setting, and all that their identities are for."""

from collections.abc import Iterator
from functools import partial

import grpc

from duet_contract.connections import wait_until_connected
from duet_contract.manifest import Manifest
from duet_device.deadline import Deadline
from duet_device.errors import IdentityExpired, IdentityProblem, refused_alone
from duet_device.events import Note
from duet_device.identity.channel import open_channel
from duet_device.identity.credentials import identity_for, parse_addresses
from duet_device.identity.renewal import renew_if_due
from duet_device.servers import Server
from duet_device.settings import Settings


class KnownServers:
    """Opened for the first question, and used again for those that follow.

    Args:
        manifest: the pair's.
        credentials: for the connections; those of this device's identity with each server, if None.
        channel: an open channel to use for every server; the caller closes it.
    """

    def __init__(
        self,
        manifest: Manifest,
        credentials: grpc.ChannelCredentials | None,
        channel: grpc.Channel | None,
    ) -> None:
        self._manifest = manifest
        self._credentials = credentials
        self._channel = channel
        self.opened: list[Server] = []

    def open(self, settings: Settings, deadline: Deadline, notes: list[Note]) -> list[Server]:
        """Return the servers to ask; none if the device may answer without one.

        Args:
            settings: name the servers.
            deadline: its clock stops while a passphrase is asked for.
            notes: get what the user should know.

        Raises:
            IdentityProblem: no server can be asked.
        """
        if self.opened:
            return self.opened
        if self._channel is not None:
            self.opened = [Server(settings.server, channel=self._channel)]
            return self.opened
        problems: list[IdentityProblem] = []
        for address in parse_addresses(settings.server):
            try:
                # The identity may be encrypted with a passphrase that is asked for.
                with deadline.waiting():
                    self._add(str(address))
            except IdentityProblem as error:
                problems.append(error)
        if problems and not self.opened:
            # Only a certificate that has expired is like a cloud that is away.
            if settings.require_cloud or not isinstance(problems[0], IdentityExpired):
                raise problems[0]
            if self._manifest.alone is None:
                raise refused_alone(problems[0], self._manifest.id)
        for problem in problems:
            alone = "" if self.opened else "; the device answers alone"
            notes.append(Note(f"{problem}{alone}"))
        return self.opened

    def connect(self, settings: Settings, deadline: Deadline, notes: list[Note]) -> None:
        """Connect to the first server; an unreachable one counts as normal."""
        for server in self.open(settings, deadline, notes)[:1]:
            channel = server.acquire()
            wait_until_connected(channel, settings.connect_timeout)
            server.release(channel)

    def renew(self, server: str | None) -> Iterator[Note]:
        """Renew this device's certificate if it is time, at a server that works, if one did."""
        # Other credentials are the caller's to renew.
        if server is None or self._credentials is not None or self._channel is not None:
            return
        notes: list[str] = []
        if renew_if_due(server, notes.append):
            # The next question uses the new certificate.
            self.close()
        for note in notes:
            yield Note(note)

    def close(self) -> None:
        """Close every connection; the next question opens others."""
        servers, self.opened = self.opened, []
        for server in servers:
            server.close()

    def _add(self, name: str) -> None:
        """Add a server, and all others that its identity is for.

        Raises:
            IdentityProblem: the identity for a remote server is missing, or it cannot be used.
        """
        known = {server.name for server in self.opened}
        if name in known:
            return
        identity = None if self._credentials else identity_for(name)
        credentials = identity.credentials() if identity else self._credentials
        server_name = identity.server_name if identity else ""
        for each in (name, *(identity.servers if identity else ())):
            if each not in known:
                known.add(each)
                self.opened.append(
                    Server(each, partial(open_channel, each, credentials, server_name))
                )
