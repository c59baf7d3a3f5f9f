"""Run an asynchronous generator ahead of who takes its items."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from duet_cloud.errors import EngineError

_Item = TypeVar("_Item")


class _End:
    """Follows the last item."""


async def read_ahead(source: AsyncGenerator[_Item]) -> AsyncGenerator[_Item]:
    """Yield the items of `source`, which runs in a task of its own and waits for no one.

    Items that are not taken yet are stored: the source must be bounded. Closing this generator
    closes the source.

    Raises:
        EngineError: the source was cancelled by what it waits for.
        Exception: what the source raises, after the items before it.
    """
    items: asyncio.Queue[_Item | _End | Exception] = asyncio.Queue()

    async def run() -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    items.put_nowait(item)
        except asyncio.CancelledError:
            # vLLM's sockets cancel what waits for them when they close. No one reads it if this generator is closed.
            items.put_nowait(EngineError("the engine aborted the request"))
        except Exception as error:
            items.put_nowait(error)
        else:
            items.put_nowait(_End())

    running = asyncio.create_task(run())
    try:
        while not isinstance(item := await items.get(), _End):
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        running.cancel()
        await asyncio.wait({running})
