"""An event loop on a thread of its own, so that synchronous and asynchronous callers can use it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class LoopThread:
    """Runs `loop` from `start` until `stop`, which closes it, too.

    Args:
        name: of the thread.
        loop: asyncio's own, if None.
    """

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = loop or asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait_for(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine on the loop; return its result or raise its error."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def call(self, function: Callable[[], None]) -> None:
        """Call a function on the loop, and wait until it is done."""

        async def called() -> None:
            function()

        self.wait_for(called())

    def stop(self) -> None:
        """Stop the loop and close it; one that never ran is only closed."""
        if not self.running:
            self.loop.close()
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self.loop.run_forever()
        # Cancelled tasks end in order.
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
