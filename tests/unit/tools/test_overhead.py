"""The bench measured on a scripted engine, in processes as it is for the record."""

from types import SimpleNamespace
from typing import Any

import pytest

from duet_contract.manifest import Manifest
from duet_tools.bench import overhead


def test_what_the_bench_counts_is_held_against_what_was_emitted(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overhead, "STREAMS", 3)
    monkeypatch.setattr(overhead, "TOKENS", 50)
    steps: list[str] = []
    bench: Any = SimpleNamespace(
        workload=SimpleNamespace(manifest=manifest),
        repeats=1,
        threads=1,
        step=steps.append,
        fresh_numbers=lambda count: list(range(count)),
    )
    (figure,) = overhead.measure(bench)
    assert len(steps) == overhead.steps(bench) == 2
    assert figure.unit == "tokens/s"
    assert figure.peer is not None
    # 150 tokens in 25 ms, and what it takes to connect.
    assert figure.peer.summary.median == 3 * overhead.PACE
    assert 0.005 < figure.judged.median <= 1.0
    assert figure.subject.summary.median == pytest.approx(6000 * figure.judged.median)
