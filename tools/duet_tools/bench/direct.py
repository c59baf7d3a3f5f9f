"""vLLM's `AsyncLLM` called directly, as a subject: the bar for any service in front of it."""

import asyncio
import sys
from collections.abc import Sequence

from duet_tools.subjects.children import Child
from duet_tools.subjects.subject import READY_S, Burst, Stream, engine_environment, engine_flags
from duet_tools.subjects.workload import Workload


class DirectEngine(Child):
    """The engine in a process that also drives it; only commands and totals cross the pipe."""

    name = "vLLM AsyncLLM"

    def __init__(self, workload: Workload, engine: Sequence[str]) -> None:
        """Start the process and wait until its engine is loaded."""
        self._workload = workload
        command = [sys.executable, "-m", "duet_tools.bench.direct_engine"]
        command += ["--model", str(workload.model), *engine_flags(workload, engine)]
        super().__init__(self.name, command, engine_environment(), talks=True)
        try:
            self.hear()
        except BaseException:
            self.stop()
            raise

    async def run(self, questions: Sequence[str], budget: int) -> Burst:
        """See `Subject`."""
        command = {
            "prompts": [self._workload.prompt(text) for text in questions],
            "budget": budget,
            "stop_id": self._workload.stop_id,
        }
        self.tell(command)
        answer = await asyncio.wait_for(asyncio.to_thread(self.hear), READY_S)
        return Burst(tuple(Stream(**each) for each in answer["streams"]), answer["seconds"])
