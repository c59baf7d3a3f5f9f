"""Recording a question: every answer that the policy chooses among, and its measures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from duet_contract.manifest import Manifest
from duet_device.calibration.collect import Collector, DataQuestion
from duet_device.calibration.rows import cases_of
from duet_device.client import Client
from duet_device.deadline import Deadline
from duet_device.pairs.pair import Pair
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import END, ScriptedDecoder, answering
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data


def counting(ids: Sequence[int]) -> int:
    """Answers as many as the signal has bytes, and 0 without one."""
    text = bytes(token for token in ids if token < END).decode("utf-8", "replace")
    question, _, answer = text.rpartition(" A:")
    _, _, signal = question.partition(" S:")
    wanted = f"{len(signal)}"
    return ord(wanted[len(answer)]) if len(answer) < len(wanted) else END


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    with ScriptedCloud(
        says(
            tokens(*b"because of"),
            tokens(*b" the seven days"),
            done(25, least_log_probability=-2.0, mean_log_probability=-0.5),
        )
    ) as cloud:
        yield cloud


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    manifest = manifest_data()
    return Pair(tmp_path, Manifest.model_validate(manifest))


def test_a_question_is_answered_in_every_way(pair: Pair, cloud: ScriptedCloud) -> None:
    decoder = ScriptedDecoder(counting, sure=lambda ids: 0.5 if b" S:" in bytes(ids) else 0.25)
    with Client(pair, decoder=decoder, server=cloud.address, budget=32) as client:  # type: ignore[arg-type]
        collector = Collector(client, decoder, samples=2)  # type: ignore[arg-type]
        row = collector.row(DataQuestion("a", "How many?", "25"), Deadline(10))
    assert (row.full.text, row.full.tokens) == ("25", 25)
    assert row.alone.text == "0"
    assert [(stop.text, stop.tokens) for stop in row.stops] == [("8", 8), ("16", 16), ("24", 24)]
    assert [each.text for each in row.samples] == ["25", "25"]
    assert row.full.measures["agreement"] == 1
    assert row.full.measures["least_probability"] == pytest.approx(0.5)
    assert row.alone.measures["least_probability"] == pytest.approx(0.25)
    assert row.alone.measures["agreement"] == 1
    assert (row.full.features["signal_tokens"], row.full.features["reasoner_mean"]) == (25, -0.5)
    assert row.vector.tolist() == [len("Q:How many? A:"), ord(":")]
    assert row.decoder_sha256 == pair.manifest.decoder_sha256
    seeds = [request.seed for request in cloud.requests]
    assert seeds == [0, 1, 2]
    cases = cases_of([row], {}, {}, against_cloud=False)
    assert [case.otherwise.right for case in cases["gate"]] == [True]
    assert [point.right for point in cases["stop"][0].points] == [False] * 3
    assert cases["more"][0].otherwise.tokens == 75
    assert list(cases_of([row], {}, {}, against_cloud=True)) == ["gate", "stop"]


def test_a_signal_that_is_there_asks_no_cloud(pair: Pair, offline: list[object]) -> None:
    decoder = ScriptedDecoder(counting)
    with Client(pair, decoder=decoder, budget=4) as client:  # type: ignore[arg-type]
        collector = Collector(client, decoder, samples=2)  # type: ignore[arg-type]
        row = collector.row(DataQuestion("a", "How many?", "4", "because"), Deadline(10))
    assert (row.full.text, row.full.tokens) == ("4", 4)
    assert not offline


def test_the_value_of_a_computed_answer_is_its_result(tmp_path: Path) -> None:
    """Not the last number of its sentence, from which signals would never agree."""
    data = manifest_data(**PRIVATE_PAIR)
    pair = Pair(tmp_path, Manifest.model_validate(data))
    decoder = ScriptedDecoder(answering("{=} buses for [b] people.", " A:"))
    with (
        ScriptedCloud(says(tokens(*b"b/a"), done(3))) as cloud,
        Client(pair, decoder=decoder, server=cloud.address, budget=8) as client,  # type: ignore[arg-type]
    ):
        collector = Collector(client, decoder, samples=1)  # type: ignore[arg-type]
        asked = "A bus holds 30 people. How many buses are for 90 people?"
        row = collector.row(DataQuestion("a", asked, "3"), Deadline(10))
    assert row.full.text == row.samples[0].text == "3 buses for 90 people."
    assert row.full.measures["agreement"] == 1
    cases = cases_of([row], {}, {}, against_cloud=False)
    assert cases["gate"][0].otherwise.right
    assert cases["more"][0].otherwise.right
