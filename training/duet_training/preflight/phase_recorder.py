"""Seconds and device memory of each phase of a step, as a run enters and leaves them."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

# Milliseconds between two readings of the devices' memory.
_INTERVAL = 50
_SMI = (
    *("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"),
    f"--loop-ms={_INTERVAL}",
)


class TrainedPolicy(Protocol):
    """A policy that tells its trainer's peak memory since the last call, in GiB."""

    def peak_memory(self) -> float:
        """See `duet_training.verl_backend.policy.Policy`."""


@dataclass
class Phase:
    """One phase of one step, once."""

    name: str
    """Name of the phase."""
    seconds: float = 0.0
    """Duration in seconds."""
    device_gib: float | None = None
    """Peak of the memory in use on the fullest device; None without a reading."""
    trainer_gib: float | None = None
    """Peak that the trainer's allocator reserved, in a phase of a trainer."""


class PhaseRecorder:
    """Records phases in order. Call it with a phase's name to get a context manager.

    Examples:
        >>> recorder = PhaseRecorder()
        >>> with recorder("decoder learns"):
        ...     recorder.saw(3.5)
        >>> recorder.timeline()[0]["device_gib"]
        3.5
    """

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.policies: Mapping[str, TrainedPolicy] = {}
        """Policies whose trainers are asked, by name."""
        self._now: Phase | None = None
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Record one phase, which ends with the block."""
        with self._lock:
            self._now = phase = Phase(name)
        began = time.monotonic()
        try:
            yield
        finally:
            phase.seconds = time.monotonic() - began
            with self._lock:
                self._now = None
                self.phases.append(phase)
            if name.endswith(("log-probs", "learns")):
                policy = self.policies.get(name.removesuffix(" learns").split("'s ")[0])
                phase.trainer_gib = policy.peak_memory() if policy else None

    def saw(self, gib: float) -> None:
        """Add a reading of the memory in use to the phase that runs now, if one does."""
        with self._lock:
            if self._now:
                self._now.device_gib = max(gib, self._now.device_gib or 0.0)

    def timeline(self) -> list[dict[str, Any]]:
        """Return the phases in order, as JSON."""
        return [asdict(phase) for phase in self.phases]

    def peaks(self) -> dict[str, float]:
        """Return the largest reading of each phase that has one."""
        found: dict[str, float] = {}
        for phase in self.phases:
            if phase.device_gib is not None:
                found[phase.name] = max(phase.device_gib, found.get(phase.name, 0.0))
        return found


def smi_command() -> tuple[str, ...]:
    """Return the command that prints the MiB in use of the devices that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    # The program does not read the variable; other devices may be in use by other runs.
    return (*_SMI, f"--id={visible}") if visible else _SMI


@contextmanager
def watched(recorder: PhaseRecorder, command: tuple[str, ...] | None = None) -> Iterator[None]:
    """Feed the recorder with what a program prints: MiB in use, a device a line.

    Without the program there are no readings.
    """
    try:
        process = subprocess.Popen(command or smi_command(), stdout=subprocess.PIPE, text=True)
    except OSError:
        yield
        return

    def read() -> None:
        for line in process.stdout or ():
            if (text := line.strip()).isdigit():
                recorder.saw(int(text) / 1024)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        reader.join(timeout=5)
