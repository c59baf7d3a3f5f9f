"""Interceptors: what is done to every call before a service sees it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError

from duet_cloud.ending import WRITE_PENDING
from duet_cloud.status import Context, Refusal, invalid, unavailable


class BoundedWrites(grpc.aio.ServerInterceptor):
    """Sends the messages of streams, and ends those whose client does not read.

    The innermost interceptor: those around it see coroutines, whatever the service has. What stops
    a write (its time, a cancelled call) is raised where the message was yielded, so that all that
    the stream holds is free at once.
    """

    def __init__(self, write_s: float) -> None:
        """`write_s`: most seconds that one message may wait for its client."""
        self._write_s = write_s

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler.response_streaming:
            return handler
        kind = "stream_stream" if handler.request_streaming else "unary_stream"
        behaviour = getattr(handler, kind)

        async def send(request: Any, context: Context) -> None:
            bounded = _BoundedContext(context, self._write_s)
            try:
                result = behaviour(request, cast(Context, bounded))
                if isawaitable(result):
                    await result
                    return
                async with aclosing(result) as messages:
                    async for message in messages:
                        try:
                            await bounded.write(message)
                        except (Refusal, asyncio.CancelledError) as stopped:
                            await messages.athrow(stopped)
            except Refusal as refusal:
                await refusal.abort(context)

        return handler._replace(**{kind: send})


class _BoundedContext:
    """A servicer context whose writes do not wait for ever."""

    def __init__(self, context: Context, write_s: float) -> None:
        self._context = context
        self._write_s = write_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        """See grpc.aio.ServicerContext.

        Raises:
            Refusal: UNAVAILABLE, as the client has not read for too long.
        """
        WRITE_PENDING.set(True)
        try:
            async with asyncio.timeout(self._write_s):
                await self._context.write(message)
        except TimeoutError as error:
            raise unavailable(
                f"the device has read nothing for {self._write_s:g} s", 0.0
            ) from error
        WRITE_PENDING.set(False)


class MalformedRequests(grpc.aio.ServerInterceptor):
    """Turns a request that is no valid message into INVALID_ARGUMENT; gRPC would say INTERNAL."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        deserialize = handler.request_deserializer

        def parse(data: bytes) -> Any:
            try:
                return deserialize(data)
            except (DecodeError, UnicodeDecodeError) as error:
                return error

        if handler.request_streaming:
            return handler
        kind = "unary_stream" if handler.response_streaming else "unary_unary"
        behaviour = getattr(handler, kind)

        async def answer(request: Any, context: Context) -> Any:
            await _refuse_malformed(request, context)
            return await behaviour(request, context)

        return handler._replace(request_deserializer=parse, **{kind: answer})


async def _refuse_malformed(request: Any, context: Context) -> None:
    if isinstance(request, Exception):
        await invalid("request", "not a valid message (is its text UTF-8?)").abort(context)
