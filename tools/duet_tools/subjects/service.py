"""`duet-cloud serve` as a process, with vLLM or with the tests' scripted engine."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools.subjects.asking import reason
from duet_tools.subjects.children import Child, free_port, serves
from duet_tools.subjects.subject import READY_S, Burst, engine_environment, engine_flags, timed
from duet_tools.subjects.workload import Workload


@dataclass(frozen=True)
class Script:
    """What the scripted engine does."""

    tokens: int = 60
    """Tokens of a signal."""
    pause_s: float = 0.005
    """Seconds between two tokens of a stream."""
    slots: int = 64
    """Most streams at a time."""
    timeout_s: float = 2.0
    """Seconds after which the service takes a silent engine for one that hangs."""
    start_s: float = 0.0
    """Seconds until the engine is loaded."""
    unobserved: int | None = None
    """1: the service has no metrics."""
    traces: str | None = None
    """OTLP endpoint of the service's spans; None: it has none."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the scripted service reads."""
        return {
            f"SCRIPT_{name.upper()}": str(value)
            for name, value in vars(self).items()
            if value is not None
        }


class ServiceProcess(Child):
    """The service in a process of its own.

    Args:
        pair: directory of the pair, or its name.
        options: further options of `duet-cloud serve`.
        script: what the engine does; None starts vLLM.
        port: where it listens; a free one, if None.
    """

    name = "DUET service"

    def __init__(
        self, pair: Path, *options: str, script: Script | None = None, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        module = "tests.doubles.scripted_service" if script else "duet_cloud"
        command = [sys.executable, "-m", module, "serve", "--pair", str(pair)]
        command += ["--port", str(self.port), *options]
        environment = script.environment if script else engine_environment()
        super().__init__(self.name, command, environment)

    def wait_until_serving(self, credentials: grpc.ChannelCredentials | None = None) -> None:
        """Wait until it answers questions.

        Raises:
            BenchError: it does not.
        """
        self.wait_until(lambda: serves(self.address, credentials), READY_S)


class ServiceSubject(ServiceProcess):
    """The service as a subject, with vLLM; `engine`: vLLM's flags, `flags`: the service's own."""

    def __init__(self, workload: Workload, engine: Sequence[str], flags: Sequence[str]) -> None:
        super().__init__(workload.directory, *flags, *engine_flags(workload, engine))
        self._workload = workload
        self._channel: grpc.aio.Channel | None = None
        self.wait_until_serving()

    async def run(self, questions: Sequence[str], budget: int) -> Burst:
        """See `Subject`."""
        if self._channel is None:
            self._channel = open_aio_channel(self.address)
            await self._channel.channel_ready()
        stub = InferenceServiceStub(self._channel)
        requests = [self._workload.request(text, budget) for text in questions]
        return await timed(reason(stub, request) for request in requests)
