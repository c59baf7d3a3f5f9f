"""Prometheus metrics of the service, with vLLM's own beside them, on a port of their own."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import start_http_server as _serve
from prometheus_client.metrics_core import Metric

from cloud.admission import Admission
from cloud.errors import AddressError

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_TOKENS = (1, 4, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class _EngineMetrics:
    """Collector that passes on what vLLM registers with the process-wide registry."""

    def collect(self) -> Iterable[Metric]:
        return REGISTRY.collect()


class Metrics:
    """The service's metrics. Label `outcome`: `ok`, `cancelled`, or a gRPC status in lower case."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_EngineMetrics())
        self.requests = Counter(
            "duet_requests", "Requests ended", ["outcome"], registry=self.registry
        )
        self.signal_tokens = Histogram(
            "duet_signal_tokens", "Tokens a signal", buckets=_TOKENS, registry=self.registry
        )
        self.budget_cuts = Counter(
            "duet_budget_cuts", "Signals cut at their budget", registry=self.registry
        )
        self.pieces = Counter("duet_pieces", "Pieces sent", registry=self.registry)
        self.first_piece_s = Histogram(
            "duet_first_piece_seconds",
            "Arrival to first piece",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.total_s = Histogram(
            "duet_request_seconds", "Arrival to end", buckets=_SECONDS, registry=self.registry
        )

    def watch(self, admission: Admission) -> None:
        """Exports running and waiting requests."""
        running = Gauge("duet_requests_running", "Requests generating", registry=self.registry)
        running.set_function(lambda: admission.running)
        waiting = Gauge("duet_requests_waiting", "Requests waiting", registry=self.registry)
        waiting.set_function(lambda: admission.waiting)

    def serve(self, host: str, port: int) -> int:
        """Starts the HTTP endpoint; returns its port.

        Raises:
            AddressError: the address cannot be bound.
        """
        try:
            server, _ = _serve(port, addr=host, registry=self.registry)
        except OSError as error:
            raise AddressError(
                f"cannot serve metrics on {host}:{port}: {error.strerror}"
            ) from error
        return int(server.server_port)
