"""An engine that emits a script of tokens, for what the real one cannot be made to do in a test."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from duet_cloud.engine import Job, Step
from duet_cloud.errors import EngineError


@dataclass
class ScriptedEngine:
    """Emits `script` (ids; text is `<id>`), one token every `pause_s`; honours the budget.

    `fail_after`: die after that many tokens. `pauses`: seconds before the token of that index, in
    place of `pause_s`. `running`: requests that have begun and not ended. `emitted`: tokens.
    """

    script: list[int] = field(default_factory=lambda: list(range(100, 140)))
    pause_s: float = 0.0
    fail_after: int | None = None
    pauses: dict[int, float] = field(default_factory=dict)
    emitted: int = 0
    max_sequences: int = 2
    max_context: int = 8192
    running: int = 0
    aborted: int = 0
    jobs: list[Job] = field(default_factory=list)

    async def generate(self, job: Job) -> AsyncGenerator[Step]:
        self.jobs.append(job)
        self.running += 1
        ended = False
        try:
            for index, token in enumerate(self.script[: job.budget]):
                await asyncio.sleep(self.pauses.get(index, self.pause_s))
                if index == self.fail_after:
                    raise EngineError("the engine failed: scripted")
                last = index == job.budget - 1
                self.emitted += 1
                yield Step(ids=[token], text=f"<{token}>", finish="length" if last else None)
                if last:
                    ended = True
                    return
            yield Step(ids=[], text="", finish="stop")
            ended = True
        finally:
            self.running -= 1
            self.aborted += not ended

    def healthy(self) -> bool:
        return True

    def shutdown(self) -> None:
        pass
