"""Results to make tables from."""

import pytest

from tools.bench.results import Figure, Machine, Results, Series, Target
from tools.bench.stats import ratios, summarise


@pytest.fixture
def figure() -> Figure:
    mine, theirs = [98.0, 99.0, 100.0], [100.0, 100.0, 100.0]
    return Figure(
        id="throughput.engine-1",
        title="Throughput, 1 stream",
        unit="tokens/s",
        subject=Series(name="DUET service", summary=summarise(mine)),
        peer=Series(name="vLLM AsyncLLM", summary=summarise(theirs)),
        judged=ratios(mine, theirs),
        judged_unit="ratio",
        target=Target(comparison="at least", value=0.98),
        details={"tokens a round, subject": 96.0},
        load=(0.5, 1.5),
        command="python tools/bench_split.py",
    )


@pytest.fixture
def results(figure: Figure) -> Results:
    machine = Machine(
        cpu="A Processor", cores=2, memory_gib=23.4, system="Linux x86_64", python="3.11.0",
        versions={"grpcio": "1.80.0"},
    )  # fmt: skip
    return Results(machine=machine, pair="small@1.0.0", date="2026-01-02", figures=(figure,))
