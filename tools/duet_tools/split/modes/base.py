"""The interface of a mode, and the settings that all modes share."""

import threading
from dataclasses import dataclass
from typing import Protocol

import grpc

from duet_contract.manifest import Manifest
from duet_device.settings import ClientSettings
from duet_tools.results.questions import Question
from duet_tools.results.record import Asked


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

    def of_device(self, index: int) -> ClientSettings:
        """Settings of a device that answers the question at a place in the data."""
        return ClientSettings(
            temperature=self.temperature,
            seed=self.seed + index,
            timeout=self.timeout,
            connect_timeout=self.connect_timeout,
            threads=self.threads,
        )


class Mode(Protocol):
    """Gets questions answered; `ask` is called from several threads at once."""

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
