"""What a mode is, and what all modes are asked with."""

import threading
from dataclasses import dataclass
from typing import Protocol

import grpc

from duet_contract.manifest import Manifest
from duet_tools.results.questions import Question
from duet_tools.results.record import Asked


@dataclass(frozen=True)
class Asking:
    """Settings of every question of a run, whatever answers it.

    `large_limit`: most tokens of the large model where it answers alone. `seed`: of the first
    question; each later one has the next. `timeout`, `connect_timeout`: seconds.
    """

    manifest: Manifest
    large_limit: int
    temperature: float
    seed: int
    timeout: float
    connect_timeout: float
    threads: int
    credentials: grpc.ChannelCredentials | None = None


class Mode(Protocol):
    """Gets questions answered; `ask` is called from several threads at once."""

    def ask(self, question: Question, index: int, address: str, stop: threading.Event) -> Asked:
        """Ask and wait.

        Args:
            question: with its reference, which is not looked at here.
            index: its place in the data, which its seed depends on.
            address: the near end of a link to the mode's server; empty where there is none.
            stop: set when the run ends early.

        Raises:
            DeviceError: it was not answered.
            Interrupted: `stop` was set meanwhile.
        """
        ...
