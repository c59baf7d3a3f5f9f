"""Watches an engine: it must answer a call through its core, and running requests need tokens.

vLLM's own `check_health` misses an engine that hangs. After two failed checks in a row the engine
counts as failed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from duet_cloud import logs
from duet_cloud.engine import Engine
from duet_cloud.errors import EngineError

_PAUSE_S = 1.0
_STRIKES = 2
# Timeouts without a token after which running requests are stalled, though the engine answers.
_STALL_TIMEOUTS = 5


class EngineWatch:
    """Watches one engine, and ends its requests when it fails.

    Args:
        engine: what is watched.
        timeout_s: seconds in which the engine must answer or emit a token; longer than its longest
            step. None: the engine's own.
    """

    def __init__(self, engine: Engine, timeout_s: float | None = None) -> None:
        self._engine = engine
        self._generating = 0
        self._timeout_s = timeout_s or engine.timeout_s
        self._requests: set[asyncio.Task[Any]] = set()
        self._error: EngineError | None = None
        self.progressed = time.monotonic()
        """When a request got a token, or the first one reached the engine, on the monotonic clock."""

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Cover one request, from its start to its last token.

        Raises:
            EngineError: the engine failed meanwhile.
        """
        task = asyncio.current_task()
        assert task is not None
        self._requests.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self._error is None:
                raise
            task.uncancel()
            raise self._error from None
        finally:
            self._requests.discard(task)

    @asynccontextmanager
    async def generating(self) -> AsyncIterator[None]:
        """Cover the time in which the engine works on a request.

        Not the whole time in a slot: what else a request waits for, such as the database of counts,
        says nothing of the engine.
        """
        if not self._generating:
            # Later ones must not hide that those before get no token.
            self.progressed = time.monotonic()
        self._generating += 1
        try:
            yield
        finally:
            self._generating -= 1

    async def run(self) -> NoReturn:
        """Watch until the engine fails, then end every request with the error.

        Raises:
            EngineError: the engine died, does not answer, or emits nothing.
        """
        try:
            await self._watch()
        except EngineError as error:
            self._error = error
            for task in self._requests:
                task.cancel()
            raise

    async def _watch(self) -> NoReturn:
        strikes = 0
        while True:
            problem = await self._problem()
            strikes = strikes + 1 if problem else 0
            if problem:
                logs.get().warning("engine check failed", reason=problem, strike=strikes)
            if strikes == _STRIKES:
                raise EngineError(f"the engine hangs: {problem}")
            if not problem:
                await asyncio.sleep(_PAUSE_S)

    async def _problem(self) -> str:
        """Return what is wrong with the engine, after one check; "" if nothing is."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._engine.check()
        except TimeoutError:
            # A long step delays the answer, but not the tokens of the step before.
            if self.progressed < began:
                return f"no answer within {self._timeout_s:g} s"
        except EngineError:
            raise
        except Exception as error:
            # vLLM reports a call that its core failed to serve as an `Exception`.
            await asyncio.sleep(_PAUSE_S)
            return f"a check failed: {error}"
        stalled_s = time.monotonic() - self.progressed
        if self._generating and stalled_s > _STALL_TIMEOUTS * self._timeout_s:
            await asyncio.sleep(_PAUSE_S)
            return f"requests are running, and no token came for {stalled_s:.0f} s"
        return ""
