"""DUET's service as a subject: `duet-cloud serve`, asked over gRPC from this process."""

import asyncio
import time
from collections.abc import Sequence

import grpc

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools.subjects.children import free_port, serves
from duet_tools.subjects.subject import READY_S, EngineProcess, Round, Stream, engine_flags, timed
from duet_tools.subjects.workload import Workload


class Service(EngineProcess):
    """The service in a process of its own."""

    name = "DUET service"

    def __init__(self, workload: Workload, engine: Sequence[str], flags: Sequence[str]) -> None:
        """Start the service and wait until it is ready.

        `engine`: vLLM's flags. `flags`: the service's own.
        """
        self._workload = workload
        self.port = free_port()
        super().__init__(
            [
                *("-m", "duet_cloud", "serve", "--pair", str(workload.directory)),
                *("--port", str(self.port), *flags, *engine_flags(workload, engine)),
            ]
        )
        self._channel: grpc.aio.Channel | None = None
        try:
            self._child.wait_until(lambda: serves(self.address), READY_S)
        except BaseException:
            self._child.stop()
            raise

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def run(self, questions: Sequence[str], budget: int) -> Round:
        """See `Subject`."""
        if self._channel is None:
            self._channel = open_aio_channel(self.address)
            await self._channel.channel_ready()
        stub = InferenceServiceStub(self._channel)
        requests = [self._workload.request(text, budget) for text in questions]
        return await timed([asyncio.ensure_future(_stream(stub, each)) for each in requests])


async def _stream(stub: InferenceServiceStub, request: ReasonRequest) -> Stream:
    began = time.perf_counter()
    first, tokens = 0.0, 0
    async for response in stub.Reason(request):  # type: ignore[attr-defined]
        if response.HasField("chunk"):
            first = first or time.perf_counter() - began
        else:
            tokens = response.end.signal_tokens
    return Stream(tokens, first, time.perf_counter() - began)
