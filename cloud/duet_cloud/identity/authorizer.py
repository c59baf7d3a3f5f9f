"""Identity, role and limits of every call: checked before it is served, and while it runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from duet_cloud import logs
from duet_cloud.identity.callers import CALLER, Caller, Callers
from duet_cloud.identity.database import DatabaseError
from duet_cloud.identity.quotas import Quotas
from duet_cloud.identity.refusals import Refusals
from duet_cloud.identity.roles import permitted
from duet_cloud.log_limit import LogLimit
from duet_cloud.status import (
    Context,
    Refusal,
    database_away,
    forbidden,
    over_quota,
    unauthenticated,
)

WATCH_S = 0.5
"""Seconds between two looks at the identities of running calls."""
MOST_CALLS = 1024
"""Calls of one identity at a time, of any kind: more than a service's slots and queue take."""
_RETRY_AFTER_S = 1.0
_QUESTIONS = "/duet.v1.InferenceService/"


class CallAuthorizer:
    """Admits calls by the certificate of their connection; terminates those that lose a right."""

    def __init__(self, callers: Callers, quotas: Quotas, refusals: Refusals) -> None:
        self._callers = callers
        self._quotas = quotas
        self._refusals = refusals
        # Once a minute, not at each call.
        self._log_limit = LogLimit()
        self._running: dict[asyncio.Task[Any], tuple[Caller, str]] = {}
        self._calls: Counter[str] = Counter()
        self._terminated: dict[asyncio.Task[Any], Refusal] = {}

    @asynccontextmanager
    async def authorize(self, method: str, context: Context) -> AsyncIterator[None]:
        """Check identity, role and limits of a call, and terminate it when it loses a right.

        Args:
            method: `/SERVICE/METHOD`.
            context: the call's.

        Raises:
            Refusal: the caller may not make the call, or may not any more.
        """
        async with AsyncExitStack() as held:
            try:
                caller = await self._identify(context)
                _check_role(caller, method)
                held.enter_context(self._count(caller.name))
                if method.startswith(_QUESTIONS):
                    await held.enter_async_context(self._quotas.question(caller.name))
            except Refusal as found:
                self._refusals.report(found, method)
                raise
            task = asyncio.current_task()
            assert task is not None
            self._running[task] = (caller, method)
            CALLER.set(caller)
            try:
                yield
            except Refusal as found:
                # A limit of the caller's that shows once it is known what the call may take.
                if found.device:
                    self._refusals.report(found, method)
                raise
            except asyncio.CancelledError:
                refusal = self._terminated.get(task)
                if refusal is None:
                    raise
                task.uncancel()
                raise refusal from None
            finally:
                del self._running[task]
                self._terminated.pop(task, None)

    @contextmanager
    def _count(self, name: str) -> Iterator[None]:
        """Count one of the identity's calls while it runs.

        Raises:
            Refusal: RESOURCE_EXHAUSTED, as too many run.
        """
        if self._calls[name] >= MOST_CALLS:
            raise over_quota(
                name, "calls", f"limit of {name}: {MOST_CALLS} calls at a time", _RETRY_AFTER_S
            )
        self._calls[name] += 1
        try:
            yield
        finally:
            self._calls[name] -= 1
            if not self._calls[name]:
                del self._calls[name]

    async def _identify(self, context: Context) -> Caller:
        try:
            return await self._callers.identify(context.auth_context())
        except DatabaseError as error:
            self._log_unreadable(error)
            raise database_away("the authority's registry cannot be read") from error

    def _log_unreadable(self, error: DatabaseError) -> None:
        if (more := self._log_limit.admit()) is not None:
            logs.get().error("registry cannot be read", reason=str(error), **more)

    async def watch(self) -> None:
        """Terminate running calls that would not be admitted any more; run until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._terminate()
            except DatabaseError as error:
                # Running calls continue, new ones are refused meanwhile.
                self._log_unreadable(error)

    async def _terminate(self) -> None:
        running = dict(self._running)
        now = await self._callers.current({caller for caller, _ in running.values()})
        for task, (caller, method) in running.items():
            if task not in self._running or task in self._terminated:
                continue
            try:
                _check_role(now[caller], method)
            except Refusal as refusal:
                logs.get().warning("terminated", device=caller.name, serial=caller.serial)
                self._terminated[task] = refusal
                task.cancel()


def _check_role(caller: Caller | Refusal, method: str) -> None:
    if isinstance(caller, Refusal):
        raise caller
    needed = permitted(method)
    if not caller.roles:
        raise unauthenticated(f"{caller.name} has no role here", "NO_ROLE", caller.name)
    if not caller.roles & needed:
        raise forbidden(
            f"{caller.name} has the role {' and '.join(sorted(caller.roles))}, "
            f"this needs {' or '.join(sorted(needed))}",
            caller.name,
            method=method,
        )
