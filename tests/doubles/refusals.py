"""How a call is refused, as its caller sees it."""

from collections.abc import AsyncIterable
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2

from duet_cloud.status import DETAILS_KEY


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """The error that a call, of one response or a stream of them, ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _ended(call)
    return caught.value


def details(error: grpc.aio.AioRpcError) -> Any:
    """The first of an error's `google.rpc` details, packed."""
    trailer = dict(error.trailing_metadata())[DETAILS_KEY]
    return status_pb2.Status.FromString(trailer).details[0]


async def _ended(call: Any) -> None:
    if not isinstance(call, AsyncIterable):
        await call
        return
    async for _ in call:
        pass
