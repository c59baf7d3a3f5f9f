"""State of a benchmark run: settings, subjects started when first needed, progress."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

from duet_tools.bench.direct import DirectEngine
from duet_tools.subjects.openai_server import OpenAIServer
from duet_tools.subjects.service import ServiceSubject
from duet_tools.subjects.workload import Workload

_POLLING_S = 1.2


@dataclass
class Bench:
    """One run of the bench."""

    workload: Workload
    """Pair and prompts of every subject."""
    repeats: int
    """Number of measurements of each figure."""
    budget: int
    """Tokens of a stream in the throughput figures."""
    threads: int
    """Threads of the decoder."""
    engine: Sequence[str]
    """vLLM's flags for every subject."""
    service_flags: Sequence[str]
    """The service's own flags."""
    step: Callable[[str], None]
    """Receives what was just measured, for the progress bar."""
    _stack: ExitStack = field(default_factory=ExitStack)
    """Closes what the run has started."""
    _asked: int = 0
    """Number of question numbers that were given out."""

    @cached_property
    def service(self) -> ServiceSubject:
        """DUET's service."""
        return self._stack.enter_context(
            ServiceSubject(self.workload, self.engine, self.service_flags)
        )

    @cached_property
    def openai_server(self) -> OpenAIServer:
        """VLLM's OpenAI server."""
        return self._stack.enter_context(OpenAIServer(self.workload, self.engine))

    @cached_property
    def direct(self) -> DirectEngine:
        """VLLM's engine, called directly."""
        return self._stack.enter_context(DirectEngine(self.workload, self.engine))

    def let_others_rest(self) -> None:
        """Wait until engines that were just asked have stopped polling; to be called between two.

        vLLM's processes poll for a second behind their last message (`SpinCondition` in its
        `shm_broadcast.py`), on the cores that the next engine needs.
        """
        time.sleep(_POLLING_S)

    def fresh_numbers(self, count: int) -> list[int]:
        """Return numbers of questions that no subject was asked yet."""
        first = self._asked
        self._asked += count
        return list(range(first, first + count))

    def close(self) -> None:
        """End every process that was started."""
        self._stack.close()
