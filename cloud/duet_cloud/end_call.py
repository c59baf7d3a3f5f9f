"""Ends a call with its status, even where the client does not read.

gRPC sends a status after the messages before it. While the client's flow-control window is closed
(RFC 9113, section 5.2), messages wait, and the status with them. Cancelling the call in gRPC's core
drops the messages and sends the status at once; `grpc.aio` offers that to clients alone.
"""

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

if TYPE_CHECKING:
    # Generic in grpc's stubs alone.
    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = grpc.aio.ServicerContext

Metadata = tuple[tuple[str, str | bytes], ...]

WRITE_PENDING: ContextVar[bool] = ContextVar("write_pending", default=False)
"""Whether a message of the call that is being served still waits for its client."""


async def end_call(
    context: Context, code: grpc.StatusCode, message: str, metadata: Metadata
) -> NoReturn:
    """End a call, and the coroutine that serves it.

    Where a message waits for the client, the call ends without it and without `metadata`.

    Raises:
        grpc.aio.AbortError, asyncio.CancelledError: always; `grpc.aio` expects either.
    """
    if not WRITE_PENDING.get():
        await context.abort(code, message, trailing_metadata=metadata)
    _cancel(context, code, message)
    raise asyncio.CancelledError


def _cancel(context: Context, code: grpc.StatusCode, message: str) -> None:
    """Cancel a call on the server as `cygrpc.Call` does; one that has ended stays as it is.

    A servicer context keeps its call to itself. It passes it to `peer_identities` of its module, in
    place of which it gets this function meanwhile; nothing else runs on the event loop by then.
    """
    number: int = code.value[0]
    original = cygrpc.peer_identities
    cygrpc.peer_identities = lambda call: call.cancel(number, message)
    try:
        context.peer_identities()
    finally:
        cygrpc.peer_identities = original
