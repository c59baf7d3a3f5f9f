"""Questions to a service over gRPC: one, some at given times, or one after the other for a while."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_device.link_errors import retry_after
from duet_tools.subjects.subject import Stream

_Result = TypeVar("_Result")
Asker = Callable[[Callable[[int], None]], Coroutine[Any, Any, object]]
"""Asks one question; is given what to call with the number of tokens of each chunk."""


_loop = functools.cache(asyncio.Runner)


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine on the process's one event loop.

    gRPC's completion queue of a loop that is closed would print a traceback in the next one.
    """
    return _loop().run(work)


async def reason(
    stub: InferenceServiceStub,
    request: ReasonRequest,
    got: Callable[[int], None] = lambda _: None,
    timeout: float | None = None,
) -> Stream:
    """Ask for one signal; call `got` with the number of tokens of each chunk."""
    began = time.perf_counter()
    first, tokens = 0.0, 0
    async for response in stub.Reason(request, timeout=timeout):  # type: ignore[attr-defined]
        if response.HasField("chunk"):
            first = first or time.perf_counter() - began
            got(len(response.chunk.tokens.ids))
        else:
            tokens = response.end.signal_tokens
    return Stream(tokens, first, time.perf_counter() - began)


@asynccontextmanager
async def stubs(channels: Iterable[grpc.aio.Channel]) -> AsyncIterator[list[InferenceServiceStub]]:
    """Wait until channels are connected, and close them in the end."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(channel) for channel in channels]
        await asyncio.gather(*(channel.channel_ready() for channel in opened))
        yield [InferenceServiceStub(channel) for channel in opened]


def is_full(error: grpc.aio.AioRpcError) -> bool:
    """Return whether a service refused a question because it is at capacity."""
    return bool(error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED)


async def at_times(
    times: Iterable[float], calls: Iterable[Coroutine[Any, Any, _Result]]
) -> list[_Result]:
    """Start calls at seconds from now, whatever becomes of earlier ones; wait for all of them."""
    began, tasks = time.perf_counter(), []
    for at, call in zip(times, calls, strict=False):
        await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
        tasks.append(asyncio.create_task(call))
    return list(await asyncio.gather(*tasks))


@dataclass
class Window:
    """What clients received while it was open."""

    is_open: bool = False
    """Whether what is received counts."""
    tokens: int = 0
    """Number of tokens that were received."""
    signals: int = 0
    """Signals that began."""
    asked: int = 0
    """Number of requests that were sent."""
    refused: int = 0
    """Number of requests that were refused."""
    seconds: float = 0.0
    """Seconds during which it was open."""

    async def ask(self, client: Asker) -> None:
        """Ask once; wait as long as the service says where it refuses."""
        has_begun = False

        def got(tokens: int) -> None:
            nonlocal has_begun
            if self.is_open:
                self.tokens += tokens
                self.signals += not has_begun
            has_begun = True

        self.asked += self.is_open
        try:
            await client(got)
        except grpc.aio.AioRpcError as error:
            if not is_full(error):
                raise
            self.refused += self.is_open
            await asyncio.sleep(retry_after(error) or 0.0)

    async def count(self, clients: Sequence[Asker], settle_s: float, seconds: float) -> None:
        """Let every client ask one question after the other; open the window once they are settled.

        Raises:
            Exception: what a client raised, except where the service was at capacity.
        """

        async def keep_asking(client: Asker) -> None:
            while True:
                await self.ask(client)

        tasks = [asyncio.create_task(keep_asking(client)) for client in clients]
        await asyncio.sleep(settle_s)
        began, self.is_open = time.perf_counter(), True
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        self.seconds, self.is_open = time.perf_counter() - began, False
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
