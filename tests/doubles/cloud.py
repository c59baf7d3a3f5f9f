"""A cloud that says what a test tells it to, over a real gRPC link on this machine."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    ReasonResponse,
    SignalChunk,
    SignalEnd,
    TokenIds,
)
from duet_contract.v1.inference_pb2_grpc import (
    InferenceServiceServicer,
    add_InferenceServiceServicer_to_server,
)

Script = Callable[[ReasonRequest, grpc.ServicerContext], Iterator[ReasonResponse]]


def tokens(*ids: int) -> ReasonResponse:
    """A chunk of token ids."""
    return ReasonResponse(chunk=SignalChunk(tokens=TokenIds(ids=ids)))


def text(chunk: str) -> ReasonResponse:
    """A chunk of text."""
    return ReasonResponse(chunk=SignalChunk(text=chunk))


def done(signal_tokens: int, **fields: object) -> ReasonResponse:
    """The last message, by default of a signal of token ids that ended by itself."""
    values: dict[str, object] = {
        "finish_reason": FINISH_REASON_END_OF_REASONING,
        "encoding": SIGNAL_ENCODING_TOKEN_IDS,
        "signal_tokens": signal_tokens,
    }
    return ReasonResponse(end=SignalEnd(**{**values, **fields}))  # type: ignore[arg-type]


def done_text(signal_tokens: int) -> ReasonResponse:
    """The last message of a signal of text."""
    return done(signal_tokens, encoding=SIGNAL_ENCODING_TEXT)


def abort(
    context: grpc.ServicerContext, code: grpc.StatusCode, message: str, *details: Message
) -> None:
    """Ends a call with a status and google.rpc details."""
    status = Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    context.abort_with_status(rpc_status.to_status(status))


def says(*responses: ReasonResponse) -> Script:
    """A script that sends `responses` and ends the stream."""
    return lambda request, context: iter(responses)


class ScriptedCloud(InferenceServiceServicer):
    """Serves a script on a free port while used as a context manager.

    `requests`: what was asked. `asked`: set at the first request. `ended`: set when a call is
    over, cancelled calls included.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[ReasonRequest] = []
        self.asked = threading.Event()
        self.ended = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4))
        add_InferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def Reason(  # noqa: N802
        self, request: ReasonRequest, context: grpc.ServicerContext
    ) -> Iterator[ReasonResponse]:
        """Runs the script."""
        self.requests.append(request)
        self.asked.set()
        context.add_callback(self.ended.set)
        yield from self.script(request, context)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None)
