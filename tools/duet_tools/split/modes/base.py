"""The interface of a mode, and the settings that all modes share."""

import threading
from dataclasses import dataclass, field
from typing import Protocol

import grpc

from duet_contract.manifest import Manifest
from duet_device.settings import ClientSettings
from duet_tools.results.questions import Question
from duet_tools.results.record import Asked
from duet_tools.split.connections import Connections


@dataclass(frozen=True)
class Asking:
    """Settings of every question of a run, in every mode."""

    manifest: Manifest
    large_limit: int
    """Most tokens of the large model where it answers alone."""
    temperature: float
    seed: int
    """Seed of the first question; each later question has the next number."""
    timeout: float
    """Total time limit of a question in seconds."""
    connect_timeout: float
    """Connection timeout in seconds."""
    threads: int
    credentials: grpc.ChannelCredentials | None = None
    connections: Connections = field(default_factory=Connections)
    """Opens a connection for each question, unless it keeps them."""

    def of_device(self, index: int) -> ClientSettings:
        """Settings of a device that answers the question at a place in the data."""
        return ClientSettings(
            temperature=self.temperature,
            seed=self.seed + index,
            timeout=self.timeout,
            connect_timeout=self.connect_timeout,
            threads=self.threads,
        )

    def of_split(self, index: int, address: str, budget: int) -> ClientSettings:
        """Settings of a device that also asks the service at an address."""
        return {**self.of_device(index), "server": address, "budget": budget}

    def connect_cloud(self, address: str) -> None:
        """Open the channel that a device keeps to the service.

        Raises:
            CloudUnreachable: it is not there in time.
        """
        self.connections.connect(address, self.credentials, self.connect_timeout)


class Mode(Protocol):
    """Gets questions answered; called from several threads at once."""

    def connect(self, address: str) -> None:
        """Open the connection that a device keeps; called if connections are kept.

        Raises:
            DeviceError: the server is not reached.
        """

    def ask(self, question: Question, index: int, address: str, stop: threading.Event) -> Asked:
        """Ask and wait.

        Args:
            question: with its reference, which is not looked at here.
            index: its place in the data, which its seed depends on.
            address: the near end of a link to the mode's server; empty without a server.
            stop: set when the run ends early.

        Raises:
            DeviceError: it was not answered.
            Interrupted: `stop` was set meanwhile.
        """
