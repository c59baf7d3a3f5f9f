"""vLLM's `AsyncLLM` called directly, as a subject: the bar for any service in front of it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from tools.bench.errors import BenchError
from tools.bench.subjects import READY_S, EngineProcess, Round, Stream, engine_flags
from tools.bench.workload import Workload


class DirectEngine(EngineProcess):
    """The engine in a process that also drives it; only commands and totals cross the pipe."""

    name = "vLLM AsyncLLM"

    def __init__(self, workload: Workload, engine: Sequence[str]) -> None:
        """Starts the process and waits until its engine is loaded."""
        self._workload = workload
        super().__init__(
            [
                *("-m", "tools.bench.direct_engine"),
                *("--model", str(workload.model), *engine_flags(workload, engine)),
            ],
            talks=True,
        )
        try:
            self._answer()
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
        stdin = self._child.process.stdin
        if stdin is None:
            raise BenchError(f"{self.name} has no pipe to it")
        stdin.write(json.dumps(command).encode() + b"\n")
        stdin.flush()
        answer = await asyncio.wait_for(asyncio.to_thread(self._answer), READY_S)
        return Round(tuple(Stream(**each) for each in answer["streams"]), answer["seconds"])

    def _answer(self) -> dict[str, Any]:
        stdout = self._child.process.stdout
        line = stdout.readline() if stdout else b""
        if not line:
            raise BenchError(f"{self.name} ended: {self._child.last_line()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
