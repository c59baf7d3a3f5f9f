"""`duet-bench replicas`: what its clients, its scraper and its collector count."""

import dataclasses

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from duet_cloud.metrics import Metrics
from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import SIGNAL_ENCODING_TOKEN_IDS, ReasonRequest
from duet_tools.fleet import collector as reading
from duet_tools.fleet.collector import SpanCollector, scraping
from duet_tools.fleet.scaling import carried
from tests.doubles.commands import bench


@pytest.fixture
def options(options):
    return dataclasses.replace(options, max_running=2, max_waiting=0, chunk_tokens=1)


class Served:
    def __init__(self, port):
        self.address = f"127.0.0.1:{port}"

    def channel(self):
        return open_aio_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])


async def test_tokens_of_what_is_carried_and_the_share_that_is_refused(cloud):
    cloud.engine.pause_s = 0.02
    cloud.server.admission._holding_s = 0.1
    request = ReasonRequest(
        question="What?",
        budget=20,
        encodings=[SIGNAL_ENCODING_TOKEN_IDS],
        vocabulary=cloud.vocabulary,
    )
    rate, refused = await carried([Served(cloud.server.port)], request, 2, 1.0)
    # Two slots of at most 50 tokens a second; a busy machine is slower.
    assert 5 < rate <= 105
    assert refused < 0.5
    rate, refused = await carried([Served(cloud.server.port)], request, 12, 1.0)
    assert 5 < rate <= 105
    assert refused > 0.3


def test_spans_are_received():
    with SpanCollector() as found:
        provider = TracerProvider()
        exporter = OTLPSpanExporter(found.address, insecure=True)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        for _ in range(3):
            provider.get_tracer("test").start_span("reason").end()
        assert found.spans == 3
        provider.shutdown()


def test_metrics_are_scraped(monkeypatch):
    monkeypatch.setattr(reading, "_EVERY_S", 0.01)
    metrics = Metrics()
    metrics.requests.labels("toy@1", "ok", "").inc()
    port = metrics.serve("127.0.0.1", 0)
    with scraping(port) as found:
        while not found.count:
            pass


def test_figures_that_do_not_exist(capsys):
    assert bench(["replicas", "--figures", "replicas,none"]) == 2
    assert "no figure 'none'; there are: replicas, observed" in capsys.readouterr().err
