"""The servers of a run: given by their address, or started when first needed.

Started servers run one at a time: an idle engine still uses some of a small machine.
"""

from collections.abc import Callable, Sequence

import grpc

from duet_contract.v1.control_pb2 import DescribePairRequest
from duet_contract.v1.control_pb2_grpc import ControlServiceStub
from duet_device.errors import PairMismatch
from duet_device.identity.channel import open_channel
from duet_device.link_errors import device_error
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.split.endpoint import Endpoint, OpenAIModel, served_model
from duet_tools.subjects.openai_server import MODEL, OpenAIServer
from duet_tools.subjects.service import ServiceSubject
from duet_tools.subjects.workload import Workload

_ASK_WITHIN_S = 10.0


class Servers:
    """The service, and vLLM's OpenAI server on the same weights with the same flags.

    `service`, `openai`: running ones; None: started here, with vLLM's flags (`engine`) and the
    service's own (`flags`). `say`: called with a line about what is being started.
    """

    def __init__(
        self,
        workload: Workload,
        service: str | None,
        openai: Endpoint | None,
        engine: Sequence[str],
        flags: Sequence[str],
        credentials: grpc.ChannelCredentials | None,
        say: Callable[[str], None],
    ) -> None:
        self._workload = workload
        self._given, self._given_openai = service, openai
        self._engine = engine
        self._flags = flags
        self._credentials = credentials
        self._say = say
        self._running: ServiceSubject | OpenAIServer | None = None

    def service(self) -> str:
        """Return the address of the service.

        Raises:
            BenchError: it cannot be started or reached. UsageProblem: it serves another pair.
        """
        if given := self._given:
            check_pair(given, self._workload.manifest.reference, self._credentials)
            return given
        if not isinstance(self._running, ServiceSubject):
            self.stop()
            self._say("starting the service")
            self._running = ServiceSubject(self._workload, self._engine, self._flags)
        return self._running.address

    def openai(self) -> OpenAIModel:
        """Return the OpenAI server, and the name of its model.

        Raises:
            BenchError: it cannot be started. UsageProblem: the address has no such server.
        """
        if given := self._given_openai:
            return given, served_model(given)
        if not isinstance(self._running, OpenAIServer):
            self.stop()
            self._say("starting vLLM's OpenAI server")
            self._running = OpenAIServer(self._workload, [*self._engine, *_telling(self._engine)])
        return Endpoint(f"127.0.0.1:{self._running.port}"), MODEL

    def why_gone(self) -> str:
        """Return the last log line of a server that this run started and that ended, else ""."""
        said = self._running.ending() if self._running else None
        return f": {said}" if said else ""

    def stop(self) -> None:
        """Stop the servers that were started."""
        if self._running:
            self._running.stop()
        self._running = None


def _telling(engine: Sequence[str]) -> list[str]:
    """Return the flags that make vLLM's OpenAI server report its times, unless stats are off."""
    return [] if "--disable-log-stats" in engine else ["--enable-per-request-metrics"]


def check_pair(
    address: str, reference: str, credentials: grpc.ChannelCredentials | None = None
) -> None:
    """Check that a running service serves a pair, `id@version`, if need be among others.

    Raises:
        BenchError: it cannot be reached. UsageProblem: it does not serve the pair.
    """
    channel = open_channel(address, credentials)
    try:
        pair = ControlServiceStub(channel).DescribePair(
            DescribePairRequest(pair=reference), timeout=_ASK_WITHIN_S
        )
    except grpc.RpcError as error:
        failure = device_error(error, address)
        if isinstance(failure, PairMismatch):
            raise UsageProblem(f"{failure}: give --pair") from error
        raise BenchError(str(failure)) from error
    finally:
        channel.close()
    served = f"{pair.id}@{pair.version}"
    if served != reference:
        raise UsageProblem(
            f"the service at {address} serves {served}, not {reference}: give --pair"
        )
