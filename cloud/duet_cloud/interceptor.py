"""The server's one interceptor: authorization, malformed requests, bounded reads and writes, statuses.

Service methods are coroutines that write their messages to the context and raise `Refusal`. A write
that is stopped (its time, a cancelled call) raises where the message was written, so that a method
frees what it holds at once.
"""

import asyncio
import traceback
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from inspect import isasyncgen
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.protobuf.message import DecodeError

from duet_cloud.end_call import WRITE_PENDING
from duet_cloud.status import Context, Refusal, invalid, unavailable

if TYPE_CHECKING:
    from duet_cloud.identity.authorizer import CallAuthorizer

_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
# Of a call, for its request: 70 kB at 9.6 kbit/s.
_REQUEST_S = 60.0


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Serves every call of a server.

    Args:
        write_s: seconds that one message may wait for its client.
        authorizer: checks each call; None serves every caller.
    """

    def __init__(self, write_s: float, authorizer: "CallAuthorizer | None" = None) -> None:
        self._write_s = write_s
        self._authorizer = authorizer

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method: str = handler_call_details.method
        kind = next(kind for kind in _KINDS if getattr(handler, kind) is not None)
        behaviour = getattr(handler, kind)
        deserialize = handler.request_deserializer

        def parse(data: bytes) -> Any:
            try:
                return deserialize(data)
            except (DecodeError, UnicodeDecodeError) as error:
                # Raised here, gRPC would report INTERNAL. Its frames keep the call, as below.
                return error.with_traceback(None)

        async def answer(request: Any, context: Context) -> Any:
            bounded = cast(Context, _BoundedContext(context, self._write_s))
            try:
                async with self._authorized(method, context):
                    if not handler.request_streaming:
                        request = await _only(request)
                    if isinstance(request, Exception):
                        raise invalid("request", "not a valid message (is its text UTF-8?)")
                    result = behaviour(request, bounded)
                    if not isasyncgen(result):
                        return await result
                    # gRPC's own reflection service.
                    async with aclosing(result) as messages:
                        async for message in messages:
                            await bounded.write(message)
            except Refusal as refusal:
                await refusal.abort(context)

        async def serve(request: Any, context: Context) -> Any:
            try:
                return await answer(request, context)
            except grpc.aio.AbortError as error:
                _clear_frames(error)
                raise
            finally:
                del request, context

        if handler.request_streaming:
            return handler._replace(**{kind: serve})
        # gRPC itself leaves a call without a request open, with no status, and tells no one.
        streaming = {kind: None, kind.replace("unary_", "stream_", 1): serve}
        return handler._replace(request_streaming=True, request_deserializer=parse, **streaming)

    def _authorized(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        if self._authorizer is None:
            return nullcontext()
        return self._authorizer.authorize(method, context)


def _clear_frames(error: BaseException | None) -> None:
    """Have an error keep nothing of the call that it ended.

    The call's state in gRPC keeps the error, its traceback the frames, and these the call and its
    request: megabytes of cycles, if nothing but the garbage collector ends them.
    """
    while error:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


async def _only(requests: AsyncIterable[Any]) -> Any:
    """Return the one request of a call.

    gRPC's generator that reads it is closed: it is part of a cycle with the call, too.

    Raises:
        Refusal: INVALID_ARGUMENT, as the client sends none; UNAVAILABLE, as it takes too long.
    """
    reading = cast(AsyncGenerator[Any], aiter(requests))
    try:
        async with asyncio.timeout(_REQUEST_S), aclosing(reading) as received:
            async for request in received:
                return request
    except TimeoutError as error:
        raise unavailable(f"the device has sent no request for {_REQUEST_S:g} s", 0.0) from error
    raise invalid("request", "the call has none")


class _BoundedContext:
    """A servicer context whose writes have a time limit."""

    def __init__(self, context: Context, write_s: float) -> None:
        self._context = context
        self._write_s = write_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        """See grpc.aio.ServicerContext.

        Raises:
            Refusal: UNAVAILABLE, because the client did not read in time.
        """
        WRITE_PENDING.set(True)
        try:
            async with asyncio.timeout(self._write_s):
                await self._context.write(message)
        except TimeoutError as error:
            raise unavailable(
                f"the device has read nothing for {self._write_s:g} s", 0.0, "unread"
            ) from error
        WRITE_PENDING.set(False)
