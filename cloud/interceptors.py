"""Interceptors: what is done to every call before a service sees it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from inspect import isawaitable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cloud.status import Context, invalid


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

        async def unary(request: Any, context: Context) -> Any:
            await _refuse_malformed(request, context)
            return await handler.unary_unary(request, context)

        async def stream(request: Any, context: Context) -> Any:
            await _refuse_malformed(request, context)
            async for response in responses(handler.unary_stream, request, context):
                yield response

        if handler.unary_unary is not None:
            return handler._replace(request_deserializer=parse, unary_unary=unary)
        if handler.unary_stream is not None:
            return handler._replace(request_deserializer=parse, unary_stream=stream)
        return handler


async def responses(behaviour: Any, request: Any, context: Context) -> AsyncGenerator[Any]:
    """What a streaming handler yields; one that writes to its context itself yields nothing."""
    result = behaviour(request, context)
    if isawaitable(result):
        await result
        return
    async with aclosing(result):
        async for response in result:
            yield response


async def _refuse_malformed(request: Any, context: Context) -> None:
    if isinstance(request, Exception):
        await invalid("request", "not a valid message (is its text UTF-8?)").abort(context)
