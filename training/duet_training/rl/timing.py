"""Where a step's time goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

# The models' own work: the rest of a step is the driver's, with weights' transfer and scoring.
MODELS = ("generate", "log_probs", "update", "validation")


class Clock:
    """Adds up seconds by phase: `with clock("generate"): ...`."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._phases: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the duration of the block to `phase`."""
        since = time.monotonic()
        try:
            yield
        finally:
            self._phases[phase] = self._phases.get(phase, 0.0) + time.monotonic() - since

    def seconds(self) -> dict[str, float]:
        """Metrics: seconds of each phase, of the driver, and of the whole since the clock was made."""
        whole = time.monotonic() - self._started
        driver = whole - sum(self._phases.get(name, 0.0) for name in MODELS)
        phases = {f"seconds/{name}": value for name, value in self._phases.items()}
        return {**phases, "seconds/driver": driver, "seconds/step": whole}
