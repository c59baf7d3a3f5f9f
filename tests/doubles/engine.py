"""An engine that emits a script of tokens, for what the real one cannot be made to do in a test."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from duet_cloud.engine import Job, Step
from duet_cloud.errors import EngineError


@dataclass
class ScriptedEngine:
    """Emits `script` (ids; text is `<id>`), one token every `pause_s`; honours the budget.

    A job that holds the start of a signal gets what follows it.

    `fail_after`: fail after that many tokens. `pauses`: seconds before the token of that index, in
    place of `pause_s`. `running`: requests that have begun and not ended. `emitted`: tokens. `hang`
    and `crash` may be called at any time.
    """

    script: list[int] = field(default_factory=lambda: list(range(100, 140)))
    pause_s: float = 0.0
    fail_after: int | None = None
    pauses: dict[int, float] = field(default_factory=dict)
    emitted: int = 0
    max_sequences: int = 2
    max_context: int = 8192
    timeout_s: float = 60.0
    running: int = 0
    aborted: int = 0
    jobs: list[Job] = field(default_factory=list)
    shut_down: bool = False
    _hung: bool = False
    _answers: bool = True
    _crashed: bool = False

    async def generate(self, job: Job) -> AsyncGenerator[Step]:
        self.jobs.append(job)
        self.running += 1
        ended = False
        try:
            for index, token in enumerate(self.script[job.prefix_tokens :][: job.budget]):
                await asyncio.sleep(self.pauses.get(index, self.pause_s))
                self._check_alive()
                if self._hung:
                    await asyncio.Event().wait()
                if index == self.fail_after:
                    raise EngineError("the engine failed: scripted")
                last = index == job.budget - 1
                self.emitted += 1
                yield Step(
                    ids=[token],
                    text=f"<{token}>",
                    log_probabilities=[-token / 100] if job.odds else [],
                    finish="length" if last else None,
                )
                if last:
                    ended = True
                    return
            closing = [0.0] if job.odds else []
            yield Step(ids=[], text="", log_probabilities=closing, finish="stop")
            ended = True
        finally:
            self.running -= 1
            self.aborted += not ended

    def hang(self, *, answers: bool = False) -> None:
        """Emits no token from now on, nor answers checks unless `answers`."""
        self._hung, self._answers = True, answers

    def crash(self) -> None:
        """Dies: what runs fails, as do checks."""
        self._crashed = True

    def _check_alive(self) -> None:
        if self._crashed:
            raise EngineError("the engine died: scripted")

    async def check(self) -> None:
        self._check_alive()
        if self._hung and not self._answers:
            await asyncio.Event().wait()

    def shutdown(self) -> None:
        self.shut_down = True
