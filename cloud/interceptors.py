"""Interceptors: what is done to every call before a service sees it."""

# grpc's handler types are generic in their stubs alone.
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cloud.status import invalid


class MalformedRequests(grpc.aio.ServerInterceptor):
    """Turns a request that is no valid message into INVALID_ARGUMENT; gRPC would say INTERNAL."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        deserialize = handler.request_deserializer

        def parse(data: bytes) -> Any:
            try:
                return deserialize(data)
            except (DecodeError, UnicodeDecodeError) as error:
                return error

        async def refuse_unary(request: Any, context: grpc.aio.ServicerContext) -> Any:
            if isinstance(request, Exception):
                await invalid("request", "not a valid message (is its text UTF-8?)").abort(context)
            return await handler.unary_unary(request, context)

        async def refuse_stream(request: Any, context: grpc.aio.ServicerContext) -> Any:
            if isinstance(request, Exception):
                await invalid("request", "not a valid message (is its text UTF-8?)").abort(context)
            async for response in handler.unary_stream(request, context):
                yield response

        if handler.unary_unary is not None:
            return handler._replace(request_deserializer=parse, unary_unary=refuse_unary)
        if handler.unary_stream is not None:
            return handler._replace(request_deserializer=parse, unary_stream=refuse_stream)
        return handler
