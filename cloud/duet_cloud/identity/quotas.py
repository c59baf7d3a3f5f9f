"""Limits for each identity: questions a minute, questions at a time, tokens a day.

Counts are in a database, so that limits hold across restarts and between replicas. A question is
charged its maximum when it begins, and the unused part is refunded when it ends: a limit is never
exceeded, and a question that a crash interrupted counts in full. Tokens of identities without such
a limit are counted when their questions end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from duet_cloud import logs
from duet_cloud.engine import Job
from duet_cloud.identity.access import AccessFile, IdentityLimits
from duet_cloud.identity.callers import CALLER
from duet_cloud.identity.counts import Counts
from duet_cloud.identity.database import DatabaseError
from duet_cloud.log_limit import LogLimit
from duet_cloud.status import database_away

# The most that the end of a question waits for its refund, so that the next one sees it.
_REFUND_S = 1.0
# Of a service that stops: for refunds.
_CLOSE_S = 2.0

_Result = TypeVar("_Result")


@dataclass
class Charge:
    """What one question costs."""

    spent: int = 0
    """Prompt and signal tokens used so far."""


class Quotas:
    """Counts and refuses. Use from one event loop.

    Args:
        counts: where questions and tokens are counted.
        access: the limits.
    """

    def __init__(self, counts: Counts, access: AccessFile) -> None:
        self.counts = counts
        self._access = access
        # Once a minute, not at each question.
        self._log_limit = LogLimit()
        self._refunds: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Finish what ended questions give back, and close the database."""
        if self._refunds:
            await asyncio.wait(self._refunds, timeout=_CLOSE_S)
        self.counts.close()

    async def extend(self) -> None:
        """Say that this service runs, and count what could not be counted before.

        Raises:
            DatabaseError: the database cannot be used.
        """
        await self.counts.database.call(self.counts.extend)

    @asynccontextmanager
    async def question(self, name: str) -> AsyncIterator[None]:
        """Count one of the identity's questions while it runs.

        Raises:
            Refusal: RESOURCE_EXHAUSTED, naming the limit and when it resets; UNAVAILABLE if there
                is a limit and the counts cannot be read or written.
        """
        limits = self._access.access.limits_of(name)
        if limits == IdentityLimits():
            yield
            return

        def undo(running: bool) -> None:
            if running:
                self.counts.leave(name)
                self.counts.store(name)

        running = await self._counted(partial(self.counts.admit, name, limits), undo)
        try:
            yield
        finally:
            if running:
                # Once, here; storing the new number may fail, or succeed late.
                self.counts.leave(name)
                await self._finish(partial(self.counts.store, name))

    def charge(self, job: Job) -> AbstractAsyncContextManager[Charge]:
        """Charge a job to the caller of the call that is being served; see `tokens`."""
        caller = CALLER.get()
        assert caller is not None, "only calls of an identity are charged"
        return self.tokens(caller.name, len(job.prompt_ids) + job.budget)

    @asynccontextmanager
    async def tokens(self, name: str, most: int) -> AsyncIterator[Charge]:
        """Charge `most` tokens; refund those that `Charge.spent` does not reach at the end.

        Without a limit, tokens that cannot be counted are served all the same.

        Raises:
            Refusal: as `question` does.
        """
        limit = self._access.access.limits_of(name).tokens
        day = self.counts.day()
        charged = 0
        if limit is not None:
            await self._charge(name, day, most, limit)
            charged = most
        counted = Charge()
        try:
            yield counted
        finally:
            if difference := counted.spent - charged:
                await self._finish(partial(self.counts.add, name, day, difference))

    async def _charge(self, name: str, day: str, most: int, limit: int) -> None:
        def undo(charged: bool) -> None:
            if charged:
                self.counts.add(name, day, -most)

        if not await self._counted(partial(self.counts.charge, name, day, most, limit), undo):
            raise await self._counted(partial(self.counts.out_of_tokens, name, limit, most))

    async def _counted(
        self, count: Callable[[], _Result], undo: Callable[[_Result], None] | None = None
    ) -> _Result:
        """Refuse what cannot be counted, so that a limit always holds.

        Raises:
            Refusal: UNAVAILABLE.
        """
        try:
            return await self.counts.database.call(count, undo)
        except DatabaseError as error:
            self._log(error)
            raise database_away("the service cannot count questions at present") from error

    async def _finish(self, count: Callable[[], None]) -> None:
        """Count the end of a question, also of one that is cancelled; wait for it only briefly."""
        task = asyncio.create_task(self._counted_if_possible(count))
        self._refunds.add(task)
        task.add_done_callback(self._refunds.discard)
        await asyncio.wait({task}, timeout=_REFUND_S)

    async def _counted_if_possible(self, count: Callable[[], None]) -> None:
        try:
            await self.counts.database.call(count)
        except DatabaseError as error:
            self._log(error)

    def _log(self, error: DatabaseError) -> None:
        if (more := self._log_limit.admit()) is not None:
            logs.get().error("questions cannot be counted", reason=str(error), **more)
