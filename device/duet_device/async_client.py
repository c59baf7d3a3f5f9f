"""The client for asyncio: the names of `duet_device.client.Client`, as coroutines."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import grpc

from duet_device.client import Client, log
from duet_device.deadline import Deadline
from duet_device.errors import Interrupted, UsageProblem
from duet_device.events import Event, Note, Result
from duet_device.pairs.pair import Pair
from duet_device.question import Question
from duet_device.setting_types import ClientSettings, QuestionSettings
from duet_device.settings import Settings

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder

_T = TypeVar("_T")


class AsyncClient:
    """Answers questions for one event loop; the decoder runs in one thread of the client's.

    Questions of several tasks are answered one after the other. Cancelling a task stops its question
    at once, in the cloud as well, and the client answers the next one.

    Args:
        pair: see `duet_device.client.Client`, as for all arguments.
        allow_unsigned: load a pair without a trusted signature.
        credentials: for the connection; those of this device's identity, if None.
        decoder: a loaded decoder to use; the caller closes it.
        channel: an open channel of `grpc` (not `grpc.aio`) to use; the caller closes it.
        **settings: fields of `duet_device.settings.Settings`.

    Raises:
        ModelProblem: there is no such pair.
        UsageProblem: a setting is out of range.

    Examples:
        >>> import asyncio
        >>> from duet_device import AsyncClient
        >>> async def main():
        ...     async with AsyncClient("private-sums-135m", device_only=True) as client:
        ...         return (await client.ask("How many cars?")).answer
        >>> asyncio.run(main())
        '9'
    """

    def __init__(
        self,
        pair: Pair | Path | str,
        *,
        allow_unsigned: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        decoder: "Decoder | None" = None,
        channel: grpc.Channel | None = None,
        **settings: Unpack[ClientSettings],
    ) -> None:
        self._client = Client(
            pair,
            allow_unsigned=allow_unsigned,
            credentials=credentials,
            decoder=decoder,
            channel=channel,
            **settings,
        )
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="duet-client")
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[object] | None = None
        self._deadline: Deadline | None = None

    @property
    def pair(self) -> Pair:
        """The pair that answers."""
        return self._client.pair

    @property
    def settings(self) -> Settings:
        """Settings of a question that changes none of them."""
        return self._client.settings

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._client.is_closed

    async def ask(
        self,
        question: str | Question,
        *,
        deadline: Deadline | None = None,
        **changes: Unpack[QuestionSettings],
    ) -> Result:
        """Answer a question; see `Client.ask`."""
        result = None
        async with aclosing(self.stream(question, deadline=deadline, **changes)) as events:
            async for event in events:
                if isinstance(event, Note):
                    log.info(event.text)
                elif isinstance(event, Result):
                    result = event
        if result is None:
            raise Interrupted("the client was closed")
        return result

    async def stream(
        self,
        question: str | Question,
        *,
        deadline: Deadline | None = None,
        **changes: Unpack[QuestionSettings],
    ) -> AsyncGenerator[Event]:
        """Answer a question, event by event; see `Client.stream`.

        A loop that is left before the end should close the stream, since Python does so later:
        `async with contextlib.aclosing(client.stream(...)) as events`.

        Examples:
            >>> import asyncio
            >>> from duet_device import AnswerText, AsyncClient
            >>> async def main():
            ...     async with AsyncClient("private-sums-135m", device_only=True) as client:
            ...         async for event in client.stream("How many cars?"):
            ...             if isinstance(event, AnswerText):
            ...                 print(event.text, end="")
            >>> asyncio.run(main())
            9
        """
        deadline = deadline or Deadline(changes.get("timeout", self.settings.timeout))
        events = self._client.stream(question, deadline=deadline, **changes)
        async with self._my_turn(deadline):
            try:
                while (event := await self._submit(lambda: next(events, None))) is not None:
                    yield event
            finally:
                deadline.interrupt()
                await self._finish(events.close)

    async def close(self) -> None:
        """Stop the question that is being answered, and free decoder, connection and thread.

        Does nothing the second time.
        """
        if self._deadline:
            self._deadline.interrupt()
        try:
            await self._finish(self._client.close)
        finally:
            self._executor.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def _my_turn(self, deadline: Deadline) -> AsyncIterator[None]:
        """Wait until no other question is being answered."""
        if self._task is not None and self._task is asyncio.current_task():
            raise UsageProblem(
                "this client is still answering: finish or close the stream before, "
                "or open another AsyncClient"
            )
        try:
            async with asyncio.timeout(deadline.remaining()):
                await self._turn.acquire()
        except TimeoutError as error:
            raise deadline.exceeded() from error
        self._task, self._deadline = asyncio.current_task(), deadline
        try:
            yield
        finally:
            self._task = self._deadline = None
            self._turn.release()

    def _submit(self, call: Callable[[], _T]) -> asyncio.Future[_T]:
        try:
            # With the task's context, of which its trace is a part.
            return asyncio.wrap_future(self._executor.submit(copy_context().run, call))
        except RuntimeError as error:
            raise Interrupted("the client was closed") from error

    async def _finish(self, call: Callable[[], None]) -> None:
        """Run a call to its end, even if the task is cancelled meanwhile."""
        try:
            running = self._submit(call)
        except Interrupted:
            # Closed: all that the call would free is free.
            return
        cancelled = False
        while not running.done():
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                cancelled = True
        running.result()
        if cancelled:
            raise asyncio.CancelledError
