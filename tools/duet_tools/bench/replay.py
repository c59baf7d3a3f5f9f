"""A cloud that replays a recorded signal at a steady pace, or only notes when it is asked.

Takes vLLM's place where the device is measured: the machine is then the device's alone, as it would
be, and every repeat gets the same signal at the same pace.
"""

import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc

from duet_contract.channels import open_channel
from duet_contract.v1 import inference_pb2_grpc
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    ReasonResponse,
    SignalChunk,
    SignalEnd,
    TokenIds,
)
from duet_tools.subjects.loopback import LoopbackServer


@dataclass(frozen=True)
class Recording:
    """A signal as the service cut it into chunks of token ids."""

    chunks: tuple[tuple[int, ...], ...]
    """Token ids of each chunk, in order."""

    @property
    def ids(self) -> list[int]:
        """The whole signal."""
        return [token for chunk in self.chunks for token in chunk]


def record(address: str, request: ReasonRequest) -> Recording:
    """Ask the service for a signal of token ids and keep its chunks."""
    with open_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        responses = list(stub.Reason(request, timeout=300))
    return Recording(
        tuple(
            tuple(response.chunk.tokens.ids) for response in responses if response.HasField("chunk")
        )
    )


class ReplayServer(LoopbackServer, inference_pb2_grpc.InferenceServiceServicer):
    """Replays what `play` gives it; refuses until then."""

    def __init__(self) -> None:
        super().__init__(2)
        self._recording: Recording | None = None
        self._tokens_per_s = 1.0
        self._asked: queue.SimpleQueue[float] = queue.SimpleQueue()
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(self, self.server)

    def Reason(  # noqa: N802 (gRPC's name)
        self, request: ReasonRequest, context: grpc.ServicerContext
    ) -> Iterator[ReasonResponse]:
        """See inference.proto."""
        began = time.perf_counter()
        self._asked.put(began)
        recording = self._recording
        if recording is None:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "only the time of asking matters here")
            return
        sent = 0
        for ids in recording.chunks:
            sent += len(ids)
            # A chunk leaves when its last token is there.
            time.sleep(max(0.0, began + sent / self._tokens_per_s - time.perf_counter()))
            yield ReasonResponse(chunk=SignalChunk(tokens=TokenIds(ids=ids)))
        yield ReasonResponse(
            end=SignalEnd(
                finish_reason=FINISH_REASON_BUDGET,
                encoding=SIGNAL_ENCODING_TOKEN_IDS,
                signal_tokens=sent,
            )
        )

    def play(self, recording: Recording, tokens_per_s: float) -> None:
        """Answer from now on with this signal, at this pace."""
        self._recording, self._tokens_per_s = recording, tokens_per_s

    def asked_at(self, timeout_s: float) -> float:
        """Return when the next request arrived (`time.perf_counter()`); waits for it.

        Raises:
            queue.Empty: none came.
        """
        return self._asked.get(timeout=timeout_s)


def chunk_sizes(recording: Recording) -> Sequence[int]:
    """Return tokens of each chunk."""
    return [len(chunk) for chunk in recording.chunks]
