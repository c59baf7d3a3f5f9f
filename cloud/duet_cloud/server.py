"""The gRPC server: services, health, limits of the transport, and its life from bind to drain."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from duet_cloud import logs
from duet_cloud.admission import Admission
from duet_cloud.control import ControlService
from duet_cloud.distribution import PairService
from duet_cloud.engine import Engine, Job
from duet_cloud.engine_watch import EngineWatch
from duet_cloud.errors import EngineError, ListenError
from duet_cloud.grpc_server import make_server
from duet_cloud.identity.quotas import Charge
from duet_cloud.identity.security import Security, open_security
from duet_cloud.inference import ChunkLimits, InferenceService
from duet_cloud.interceptor import CallInterceptor
from duet_cloud.metrics import Metrics
from duet_cloud.options import ServeOptions
from duet_cloud.probes import Probes
from duet_cloud.reasoner import PairReasoner
from duet_cloud.request_limits import RequestLimits
from duet_cloud.routing import Route, Routes, Serving
from duet_contract.addresses import Address
from duet_contract.channels import SERVER_KEEPALIVE
from duet_contract.prompts import MOST_BYTES_PER_TOKEN
from duet_contract.v1 import (
    control_pb2,
    control_pb2_grpc,
    inference_pb2,
    inference_pb2_grpc,
    pairs_pb2,
    pairs_pb2_grpc,
)

INFERENCE_NAME = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
PAIRS_NAME = pairs_pb2.DESCRIPTOR.services_by_name["PairService"].full_name
CONTROL_NAME = control_pb2.DESCRIPTOR.services_by_name["ControlService"].full_name

# Of a request besides its question and the start of its signal. gRPC refuses a larger one before it
# reads it, and holds what has arrived of a smaller one, for each of an identity's calls.
_MESSAGE_BYTES = 128 * 1024
_HEALTH_BYTES = 4 * 1024

# Time for the handlers of cancelled calls.
_END_S = 1.0

_CHANNEL_OPTIONS = (
    # Two servers on one port would share its connections without an error.
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # Of one connection; more wait at the client, whereas admission refuses at once.
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.max_allowed_incoming_connections", 4096),
    # gRPC's default is two minutes.
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Of a device that has gone without a word between two questions: pings need a running call.
    ("grpc.max_connection_idle_ms", 900_000),
    # Signals are far below any flow-control window; probing for one costs bytes on every link.
    ("grpc.http2.bdp_probe", 0),
    *SERVER_KEEPALIVE,
)


class CloudServer:
    """A bound server. Engines come later (`open`), so that a busy port is reported at once.

    `pair`, and each of `more`, is served by an engine of its own.
    """

    def __init__(self, options: ServeOptions, pair: PairReasoner, *more: PairReasoner) -> None:
        self._options = options
        self._pair = pair
        self.metrics = Metrics()
        self.routes = Routes(
            [
                Route(one, Admission(options.max_running or 1, options.max_waiting))
                for one in (pair, *more)
            ]
        )
        for route in self.routes.all:
            self.metrics.watch(route.name, route.admission)
        self._watches: dict[str, asyncio.Task[None]] = {}
        self.engine_failed = asyncio.Event()
        self.security: Security | None = open_security(options, self.metrics.refused)
        if security := self.security:
            for name, ends in security.certificates().items():
                self.metrics.watch_certificate(name, ends)
            self.metrics.watch_database(lambda: security.database_up)
        self.inference = InferenceService(
            self.routes,
            self.metrics,
            ChunkLimits(options.chunk_tokens, options.chunk_ms),
            self.security.charge if self.security else _uncharged,
            options.log_questions,
        )
        authorizer = self.security.authorizer if self.security else None
        self._health = health.aio.HealthServicer()
        self._is_draining = False
        self._server = make_server(
            interceptors=[CallInterceptor(options.write_s, authorizer)],
            options=_options(_most_message_bytes((pair, *more))),
        )
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(self.inference, self._server)
        control_pb2_grpc.add_ControlServiceServicer_to_server(
            ControlService(self.routes), self._server
        )
        self.pairs = PairService(self.routes)
        pairs_pb2_grpc.add_PairServiceServicer_to_server(self.pairs, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self.security:
            self.security.add_services(self._server)
        if options.reflection:
            names = (
                INFERENCE_NAME,
                CONTROL_NAME,
                PAIRS_NAME,
                health.SERVICE_NAME,
                reflection.SERVICE_NAME,
            )
            reflection.enable_server_reflection(names, self._server)
        self.port = self._bind()
        self._probes = Probes(self.reasons)
        self._health_server = make_server(options=_options(_HEALTH_BYTES))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_server)
        self.health_port: int | None = None
        """Port of the HTTP endpoint for health, once started."""
        self.health_grpc_port: int | None = None
        """Port of gRPC health without transport security, once started."""

    def _bind(self) -> int:
        host, port = self._options.host, self._options.port
        check_address(self._options, secured=self.security is not None)
        address = str(Address(host, port))
        try:
            if self.security:
                return self.security.bind(self._server, host, port)
            return int(self._server.add_insecure_port(address))
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {address}: is the port in use?") from error

    async def start(self) -> None:
        """Start answering: alive, but not ready."""
        serving = health_pb2.HealthCheckResponse.SERVING
        await self._health.set("", serving)
        await self._health.set(CONTROL_NAME, serving)
        await self._health.set(PAIRS_NAME, serving)
        await self._report_ready()
        await self._start_health()
        await self._server.start()
        if self.security:
            await self.security.start(self._report_ready)

    async def _start_health(self) -> None:
        options = self._options
        if options.health_port is not None:
            self.health_port = self._probes.start(options.health_host, options.health_port)
        if options.health_grpc_port is not None:
            address = str(Address(options.health_host, options.health_grpc_port))
            try:
                self.health_grpc_port = self._health_server.add_insecure_port(address)
            except RuntimeError as error:
                raise ListenError(f"cannot serve health on {address}: is it in use?") from error
            await self._health_server.start()

    def reasons(self) -> list[str]:
        """Return why the service is not ready, a line each; empty while it is."""
        reasons = [
            f"{route.name}: {state}"
            for route in self.routes.all
            if (state := route.admission.why_not) is not None
        ]
        if self.security and not self.security.database_up:
            reasons.append("the database of identities and counts cannot be used")
        return reasons

    async def _report_ready(self) -> None:
        """Tell gRPC health whether the service is ready."""
        status = health_pb2.HealthCheckResponse
        ready = status.NOT_SERVING if self._is_draining or self.reasons() else status.SERVING
        await self._health.set(INFERENCE_NAME, ready)

    @property
    def admission(self) -> Admission:
        """Admission of the first pair."""
        return self.routes.default.admission

    async def open(self, engine: Engine, route: Route | None = None) -> None:
        """Start serving a pair, the first if None, with a loaded engine.

        The service is ready when every pair is.
        """
        route = route or self.routes.default
        limits = RequestLimits.of(
            route.pair.manifest, len(route.pair.prompt([])), engine.max_context
        )
        self.metrics.keep_engine()
        watch = EngineWatch(engine, self._options.engine_timeout_s)
        route.serving, route.failure = Serving(engine, limits, watch), None
        route.admission.open(self._options.max_running or engine.max_sequences)
        self._watches[route.name] = asyncio.create_task(self._watch(route, watch))
        await self._report_ready()

    async def _watch(self, route: Route, watch: EngineWatch) -> None:
        """Stop serving a pair when its engine fails."""
        try:
            await watch.run()
        except EngineError as error:
            logs.get().error("engine failed", pair=route.name, reason=str(error))
            route.failure = error
            route.admission.fail()
            self.engine_failed.set()
            await self._report_ready()

    def close_engines(self) -> None:
        """End every engine."""
        for route in self.routes.all:
            if engine := self._detach(route):
                engine.shutdown()

    async def close_engine(self, route: Route) -> None:
        """End a pair's engine in a thread; one that hangs takes seconds to end."""
        if engine := self._detach(route):
            await asyncio.to_thread(engine.shutdown)

    def _detach(self, route: Route) -> Engine | None:
        if watching := self._watches.pop(route.name, None):
            watching.cancel()
        serving, route.serving = route.serving, None
        return serving.engine if serving else None

    async def drain(self) -> bool:
        """Stop being ready, wait for running requests; return False if the grace period ends."""
        self._is_draining = True
        # Not "", as gRPC's `enter_graceful_shutdown` does: a service that drains is alive.
        for name in (CONTROL_NAME, PAIRS_NAME):
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._report_ready()
        grace_s = self._options.grace_s
        drained = (route.admission.drain(grace_s) for route in self.routes.all)
        return all(await asyncio.gather(*drained))

    async def stop(self, grace_s: float | None = None) -> None:
        """Close every connection; cancel calls that still run after `grace_s` seconds."""
        await self._server.stop(grace_s)
        await self._health_server.stop(None)
        await self._probes.stop()
        for watching in self._watches.values():
            watching.cancel()
        # Handlers of cancelled calls abort their generation on the loop's next turns, and count what
        # it cost.
        await asyncio.gather(*(route.admission.idle(_END_S) for route in self.routes.all))
        if self.security:
            await self.security.stop()


def _options(most_message_bytes: int) -> list[tuple[str, int | str]]:
    return [*_CHANNEL_OPTIONS, ("grpc.max_receive_message_length", most_message_bytes)]


def _most_message_bytes(pairs: Sequence[PairReasoner]) -> int:
    limits = [pair.manifest.limits for pair in pairs]
    tokens = max(each.question + each.budget for each in limits)
    return _MESSAGE_BYTES + tokens * MOST_BYTES_PER_TOKEN


@asynccontextmanager
async def _uncharged(_: Job) -> AsyncIterator[Charge]:
    yield Charge()


def check_address(options: ServeOptions, *, secured: bool) -> None:
    """Check that the address may be listened on.

    Raises:
        ListenError: it may not.
    """
    if not secured and not _is_loopback(options.host):
        raise ListenError(
            f"refusing to listen on {options.host}: without transport security (--tls-dir) only "
            "loopback addresses are served (--host 127.0.0.1)"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
