"""What reads a service's metrics and traces while it is measured: a scraper and a collector."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from duet_tools.subjects.loopback import LoopbackServer

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


class SpanCollector(LoopbackServer, trace_service_pb2_grpc.TraceServiceServicer):
    """Receives spans over OTLP, and counts them.

    Args:
        keeps: whether to keep them.
    """

    def __init__(self, *, keeps: bool = False) -> None:
        super().__init__(1)
        self.spans = 0
        self.kept: list[trace_service_pb2.ExportTraceServiceRequest] = []
        """What was received."""
        self._keeps = keeps
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)  # type: ignore[no-untyped-call]
        self.address = f"http://{self.address}"

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """See trace_service.proto."""
        self.spans += sum(
            len(scope.spans) for each in request.resource_spans for scope in each.scope_spans
        )
        if self._keeps:
            self.kept.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()
