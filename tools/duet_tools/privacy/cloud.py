"""A cloud that answers with a formula, and breaks as often as a way of asking needs."""

from collections import Counter
from collections.abc import Iterator

import grpc

from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    ReasonRequest,
    ReasonResponse,
    SignalChunk,
    SignalEnd,
)
from duet_contract.v1.inference_pb2_grpc import (
    InferenceServiceServicer,
    add_InferenceServiceServicer_to_server,
)
from duet_tools.subjects.loopback import LoopbackServer

FORMULA = ("a", "-b")
"""Text of the signal, in chunks. Its sign depends on the numbers."""


class FormulaCloud(LoopbackServer, InferenceServiceServicer):
    """Answers every question alike.

    Args:
        refuses: whether every other call for a question is refused as unavailable.
        cuts: whether a call that continues nothing breaks after the first chunk.
    """

    def __init__(self, *, refuses: bool = False, cuts: bool = False) -> None:
        super().__init__(4)
        self._refuses, self._cuts = refuses, cuts
        self._calls: Counter[str] = Counter()
        add_InferenceServiceServicer_to_server(self, self.server)

    def Reason(  # noqa: N802 (gRPC's name)
        self, request: ReasonRequest, context: grpc.ServicerContext
    ) -> Iterator[ReasonResponse]:
        """See inference.proto."""
        self._calls[request.question] += 1
        if self._refuses and self._calls[request.question] % 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        held = request.signal_prefix.text
        for chunk in FORMULA[1 if held else 0 :]:
            yield ReasonResponse(chunk=SignalChunk(text=chunk))
            if self._cuts and not held:
                context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        yield ReasonResponse(
            end=SignalEnd(
                finish_reason=FINISH_REASON_END_OF_REASONING,
                encoding=SIGNAL_ENCODING_TEXT,
                signal_tokens=1 if held else len(FORMULA),
                prefix_tokens=1 if held else 0,
            )
        )
