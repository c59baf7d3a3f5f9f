"""The interface of a mode, what it returns, and the settings that all modes share."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import grpc

from duet_contract.connections import wait_until_connected
from duet_contract.manifest import Manifest
from duet_device.errors import CloudUnreachable
from duet_device.setting_types import ClientSettings
from duet_tools.results.questions import QuestionRow
from duet_tools.results.record import Record
from duet_tools.split.connections import Connections


@dataclass(frozen=True)
class ModeSettings:
    """Settings of every question of a run, in every mode."""

    manifest: Manifest
    """Manifest of the pair."""
    large_limit: int
    """Most tokens of the large model where it answers alone."""
    temperature: float
    """Sampling temperature."""
    seed: int
    """Seed of the first question; each later question has the next number."""
    timeout: float
    """Total time limit of a question in seconds."""
    connect_timeout: float
    """Connection timeout in seconds."""
    threads: int
    """Threads of the decoder."""
    credentials: grpc.ChannelCredentials | None = None
    """Credentials for the service; None: in the clear."""
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
        """Open a channel to the service, so that no question waits for one that is kept.

        Raises:
            CloudUnreachable: it is not there in time.
        """
        with self.connections.channel(address, self.credentials) as channel:
            if not wait_until_connected(channel, self.connect_timeout):
                raise CloudUnreachable(f"no link to {address} within {self.connect_timeout:g} s")


@dataclass
class Reply:
    """What a mode made of a question."""

    record: Record
    """The question's record."""
    later: Callable[[], None] | None = None
    """Work that completes the answer after the load; None: it is complete."""
    requests: int = 0
    """HTTP requests that it took, on one connection; 0 over gRPC or without a link."""


class Mode(Protocol):
    """Gets questions answered; called from several threads at once."""

    def ask(self, question: QuestionRow, index: int, address: str, stop: threading.Event) -> Reply:
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
