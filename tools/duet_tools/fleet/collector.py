"""What reads a service's metrics and traces while it is measured: a scraper and a collector."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

# Four times as often as Prometheus' example configuration.
_EVERY_S = 4.0


@dataclass
class Scraped:
    """What was scraped."""

    count: int = 0
    """Complete answers."""


@contextmanager
def scraping(port: int) -> Iterator[Scraped]:
    """Scrape the metrics of a port of this machine, as Prometheus does."""
    found, over = Scraped(), threading.Event()

    def scrape() -> None:
        with httpx.Client(trust_env=False) as client:
            while not over.wait(_EVERY_S):
                answer = client.get(f"http://127.0.0.1:{port}/metrics")
                found.count += "duet_requests_total" in answer.text

    thread = threading.Thread(target=scrape, name="scraper", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


class SpanCollector(trace_service_pb2_grpc.TraceServiceServicer):
    """Receives spans over OTLP, and counts them.

    Args:
        keeps: whether to keep them.
    """

    def __init__(self, *, keeps: bool = False) -> None:
        self.spans = 0
        self.kept: list[trace_service_pb2.ExportTraceServiceRequest] = []
        """What was received."""
        self._keeps = keeps
        self.address = ""

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """See trace_service.proto."""
        self.spans += sum(
            len(scope.spans) for each in request.resource_spans for scope in each.scope_spans
        )
        if self._keeps:
            self.kept.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def collector(*, keeps: bool = False) -> Iterator[SpanCollector]:
    """Receive spans on a port of this machine; see `SpanCollector`."""
    server = grpc.server(ThreadPoolExecutor(1))
    found = SpanCollector(keeps=keeps)
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(found, server)  # type: ignore[no-untyped-call]
    found.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield found
    finally:
        server.stop(None).wait()
