"""A service with a scripted engine, as a process: tokens come at a fixed pace whatever asks.

    python -m duet_tools.bench.scripted --tokens 4000 --pace 2000

Takes vLLM's place where the bench itself is measured. A line of JSON on stdout says where it
listens. The first token comes at once, then 16 at a time: smaller chunks than the service's, and so
more of them for the bench to take.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import click
import grpc

from duet_contract.commands import Integer, Number
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
        sizes = [1, *[_GATHER] * ((tokens - 1) // _GATHER)]
        if rest := tokens - sum(sizes):
            sizes.append(rest)
        ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
        self._chunks = [
            (end / pace, ReasonResponse(chunk=SignalChunk(tokens=TokenIds(ids=[7] * size))))
            for size, end in zip(sizes, ends, strict=True)
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


@click.command()
@click.option("--tokens", type=Integer(1), required=True, help="Tokens of each signal.")
@click.option("--pace", type=Number(0, min_open=True), required=True, help="Tokens per second.")
def main(tokens: int, pace: float) -> None:
    """Serve until the process is ended."""
    asyncio.run(_serve(tokens, pace))


if __name__ == "__main__":
    main()
