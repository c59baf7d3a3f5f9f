"""An engine that emits a script of tokens, for what the real one cannot be made to do in a test."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from duet_cloud.engine import Job, Step
from duet_cloud.errors import EngineError


@dataclass
class ScriptedEngine:
    """Emits scripted tokens, whose text is `<id>`, and honors the budget."""

    script: list[int] = field(default_factory=lambda: list(range(100, 140)))
    """Token ids of a signal. A job that holds the start of it gets what follows."""
    pause_s: float = 0.0
    """Seconds before each token."""
    fail_after: int | None = None
    """Number of tokens after which it fails; None: it does not fail."""
    pauses: dict[int, float] = field(default_factory=dict)
    """Seconds before the token of that index, in place of `pause_s`."""
    emitted: int = 0
    """Number of tokens that were emitted."""
    max_sequences: int = 2
    """Number of slots."""
    max_context: int = 8192
    """Context window in tokens."""
    timeout_s: float = 60.0
    """Time limit of the engine in seconds."""
    running: int = 0
    """Number of requests that have begun and not ended."""
    aborted: int = 0
    """Number of requests that were aborted or failed."""
    jobs: list[Job] = field(default_factory=list)
    """Every job that it was given."""
    shut_down: bool = False
    """Whether it was shut down."""
    _hung: bool = False
    """Whether it emits no more tokens."""
    _answers: bool = True
    """Whether it answers checks while it hangs."""
    _crashed: bool = False
    """Whether it has died."""

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
