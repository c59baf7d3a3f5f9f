"""`python -m duet_tools.bench.scripted TOKENS PACE`: a service with a scripted engine.

Each signal has TOKENS tokens, which come at PACE tokens a second whatever asks. Takes vLLM's place
where the bench itself is measured. A line of JSON on stdout says where it listens. The first token
comes at once, then 16 at a time: smaller chunks than the service's, and so more of them to take.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import grpc

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

_GATHER = 16


class _Scripted(inference_pb2_grpc.InferenceServiceServicer):
    def __init__(self, tokens: int, pace: float) -> None:
        ends = [0, *range(1, tokens, _GATHER), tokens]
        self._chunks = [
            (
                end / pace,
                ReasonResponse(chunk=SignalChunk(tokens=TokenIds(ids=[7] * (end - begin)))),
            )
            for begin, end in pairwise(ends)
        ]
        self._done = ReasonResponse(
            end=SignalEnd(
                finish_reason=FINISH_REASON_BUDGET,
                encoding=SIGNAL_ENCODING_TOKEN_IDS,
                signal_tokens=tokens,
                decode_ms=1e3 * tokens / pace,
            )
        )

    async def Reason(  # noqa: N802 (gRPC's name)
        self, request: ReasonRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> AsyncIterator[ReasonResponse]:
        began = time.perf_counter()
        for at, chunk in self._chunks:
            # A chunk leaves when its last token is there.
            if (left := began + at - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            yield chunk
        yield self._done


async def _serve(tokens: int, pace: float) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(_Scripted(tokens, pace), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
