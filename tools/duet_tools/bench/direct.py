"""vLLM's `AsyncLLM` called directly, as a subject: the bar for any service in front of it."""

import asyncio
from collections.abc import Sequence

from duet_tools.subjects.subject import READY_S, EngineProcess, Round, Stream, engine_flags
from duet_tools.subjects.workload import Workload


class DirectEngine(EngineProcess):
    """The engine in a process that also drives it; only commands and totals cross the pipe."""

    name = "vLLM AsyncLLM"

    def __init__(self, workload: Workload, engine: Sequence[str]) -> None:
        """Start the process and wait until its engine is loaded."""
        self._workload = workload
        super().__init__(
            [
                *("-m", "duet_tools.bench.direct_engine"),
                *("--model", str(workload.model), *engine_flags(workload, engine)),
            ],
            talks=True,
        )
        try:
            self._child.hear()
        except BaseException:
            self._child.stop()
            raise

    async def run(self, questions: Sequence[str], budget: int) -> Round:
        """See `Subject`."""
        command = {
            "prompts": [self._workload.prompt(text) for text in questions],
            "budget": budget,
            "stop_id": self._workload.stop_id,
        }
        self._child.tell(command)
        answer = await asyncio.wait_for(asyncio.to_thread(self._child.hear), READY_S)
        return Round(tuple(Stream(**each) for each in answer["streams"]), answer["seconds"])
