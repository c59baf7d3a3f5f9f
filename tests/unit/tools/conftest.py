"""Results to make tables from, and a run of the bench without models."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duet_contract.manifest import Manifest
from duet_tools.bench.stats import ratios, summarise
from duet_tools.report import plots
from duet_tools.results.figures import Figure, Machine, Results, Series, Target
from duet_tools.split import link_pool, run
from tests.doubles.decoder import ScriptedDecoder, answering
from tests.doubles.near_links import NearLinkPool
from tests.doubles.service import ScriptedCompletions, ScriptedService, reasons
from tests.doubles.split_bench import Bench
from tests.unit.device.conftest import manifest_data as bytes_pair

PAIR = "bytes@1.0.0"


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
        command="duet-bench split",
    )


@pytest.fixture
def results(figure: Figure) -> Results:
    machine = Machine(
        cpu="A Processor", cores=2, memory_gib=23.4, system="Linux x86_64", python="3.11.0",
        versions={"grpcio": "1.80.0"},
    )  # fmt: skip
    return Results(machine=machine, pair="small@1.0.0", date="2026-01-02", figures=(figure,))


def manifest_data() -> dict[str, Any]:
    """A pair over bytes, whose reasoner reads `Q:` before the question."""
    data = bytes_pair(limits={"question": 64, "budget": 64, "answer": 64}, alone=None)
    data["reasoner"]["prompt"] = [{"template": "Q:"}, {"slot": "question"}]
    return data


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.model_validate(manifest_data())


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    """Reasons `3 and 4` about everything."""
    with ScriptedService(reasons(), PAIR) as running:
        yield running


@pytest.fixture
def completions() -> Iterator[ScriptedCompletions]:
    with ScriptedCompletions(lambda prompt: "I think it is 7") as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> Bench:
    """`data`, `out`, and a `decoder` that answers `7` to everything; links within the process."""
    pair = tmp_path / "pair"
    pair.mkdir()
    (pair / "manifest.json").write_text(json.dumps(manifest_data()), "utf-8")
    rows = [
        {"id": f"q{number}", "question": f"What is {number}?", "answer": "7" if number else "8"}
        for number in range(6)
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    decoder = ScriptedDecoder(answering("it is 7", " A:"))
    monkeypatch.setattr(run, "load_decoder", lambda pair, threads: decoder)
    monkeypatch.setattr(run, "LinkPool", NearLinkPool)
    monkeypatch.setattr(link_pool, "_QUIET_S", 0.01)
    # Drawing takes a second; `test_report_page` draws.
    monkeypatch.setattr(plots, "plots", lambda report: [])
    return Bench(data, tmp_path / "out", pair, decoder)
