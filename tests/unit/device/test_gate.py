"""The gate: who answers is decided from the question, and the receipt says by what."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from duet_contract.calibration import Calibration, Probe, Threshold
from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device import session as session_module
from duet_device.cli import main
from duet_device.client import Client
from duet_device.errors import ExitCode, ModelProblem, UsageProblem
from duet_device.events import Note, Result, Sent
from duet_device.gate import DRAFT_TOKENS
from duet_device.history.store import StoredSignal
from duet_device.pairs.pair import Pair
from duet_device.policy.calibrations import own_path, store
from duet_device.question import Question
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder, answering
from tests.unit.device.conftest import SHA

ANSWER = "9 cars"


def threshold(measure: str, at_least: float, trusted: float = 0.8) -> Threshold:
    return Threshold(
        measure=measure,
        at_least=at_least,
        risk=0.1,
        failure=0.05,
        trusted=trusted,
        right=0.95,
        signal_tokens=3.0,
    )


def calibration(gate: Threshold | None, **changes: Any) -> Calibration:
    data = {"pair": "bytes@1.0.0", "decoder_sha256": SHA, "data": "sums", "questions": 100}
    return Calibration(**{**data, "schema": 1, "tokens": 7.0, "gate": gate, **changes})


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))


@pytest.fixture
def decoder() -> ScriptedDecoder:
    return ScriptedDecoder(answering(ANSWER, " A:"), sure=lambda _: 0.75)


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    with ScriptedCloud(says(tokens(*b"be"), tokens(*b"cause"), done(7))) as cloud:
        yield cloud


def ask(pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud, **settings: Any) -> list[Any]:
    settings = {"route": "auto", **settings}
    with Client(pair, decoder=decoder, server=cloud.address, **settings) as client:  # type: ignore[arg-type]
        return list(client.stream("How many cars?"))


def result(events: list[Any]) -> Result:
    [found] = [event for event in events if isinstance(event, Result)]
    return found


@pytest.mark.parametrize("measure", ["least_probability", "margin", "mean_log_probability"])
def test_a_question_that_it_trusts_stays_on_the_device(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud, measure: str
) -> None:
    store(calibration(threshold(measure, -0.5)), pair.manifest)
    found = result(ask(pair, decoder, cloud))
    assert found.answer == ANSWER
    assert found.receipt.source == "device"
    assert found.receipt.bytes.up == 0
    assert not cloud.requests
    route = found.receipt.route
    assert route
    assert (route.taken, route.measure, route.threshold) == ("device", measure, -0.5)
    assert route.value is not None
    assert route.value >= -0.5


def test_a_question_that_it_doubts_goes_to_the_cloud(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud
) -> None:
    store(calibration(threshold("least_probability", 0.8)), pair.manifest)
    receipt = result(ask(pair, decoder, cloud)).receipt
    assert receipt.source == "duet"
    assert receipt.signal == "because"
    assert receipt.route
    assert receipt.route.taken == "cloud"
    assert receipt.route.value == pytest.approx(0.75)


def test_the_probe_reads_the_state_and_writes_no_draft(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud
) -> None:
    probe = Probe(weights=(1.0, 0.0), bias=-1.0)
    store(calibration(threshold("probe", 15.0), probe=probe), pair.manifest)
    route = result(ask(pair, decoder, cloud)).receipt.route
    assert route
    assert (route.taken, route.value) == ("device", len("Q:How many cars? A:") - 1)


def test_a_probe_of_another_size_is_refused(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud
) -> None:
    probe = Probe(weights=(1.0, 0.0, 0.0), bias=0.0)
    store(calibration(threshold("probe", 0.0), probe=probe), pair.manifest)
    with pytest.raises(ModelProblem, match="duet-device calibrate DATA"):
        ask(pair, decoder, cloud)


def test_a_draft_is_short(pair: Pair, cloud: ScriptedCloud) -> None:
    decoder = ScriptedDecoder(lambda _: 65, sure=lambda _: 0.5)
    store(calibration(threshold("mean_log_probability", 0.0)), pair.manifest)
    # Without lookup, each token of the draft is an evaluation of its own.
    ask(pair, decoder, cloud, prompt_lookup=False)
    prompt = len("Q:How many cars? A:")
    longest = max(start + count for start, count in decoder.evaluations[: DRAFT_TOKENS + 1])
    assert longest <= prompt + DRAFT_TOKENS


def slow(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    yield tokens(*b"be")
    while context.is_active():
        time.sleep(0.005)


def test_a_cloud_that_was_asked_meanwhile_is_cancelled_and_counted(pair: Pair) -> None:
    store(calibration(threshold("margin", 0.0, trusted=0.3)), pair.manifest)
    with ScriptedCloud(slow) as cloud:
        decoder = ScriptedDecoder(
            answering(ANSWER, " A:"), sure=lambda _: 0.75 if cloud.asked.wait(60) else 0.0
        )
        events = ask(pair, decoder, cloud)
        assert cloud.ended.wait(60)
    receipt = result(events).receipt
    assert receipt.source == "device"
    assert receipt.answer == ANSWER
    assert receipt.bytes.up > 0
    assert receipt.route
    assert receipt.route.unused_tokens in (0, 2)
    spent = 2.0 * pair.manifest.reasoner.parameters * receipt.route.unused_tokens
    assert receipt.flops.reasoner == spent
    # What left the device is said, needed or not.
    assert [event.request for event in events if isinstance(event, Sent)] == cloud.requests


def test_without_a_calibration_the_cloud_is_asked_and_a_note_says_how_to_make_one(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud
) -> None:
    events = ask(pair, decoder, cloud)
    assert result(events).receipt.source == "duet"
    assert result(events).receipt.route is None
    [note] = [event.text for event in events if isinstance(event, Note)]
    assert "duet-device calibrate DATA" in note


@pytest.mark.parametrize("stored", [True, False])
def test_where_the_cloud_is_not_asked_no_note_says_that_it_is(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud, stored: bool
) -> None:
    signal = StoredSignal(ids=(98, 101), text="be", tokens=2, cut=False) if stored else None
    with Client(pair, decoder=decoder, server=cloud.address, route="auto") as client:  # type: ignore[arg-type]
        question = Question("How many cars?", signal=signal)
        events = list(client.stream(question, device_only=not stored))
    assert [event for event in events if isinstance(event, Note)] == []
    assert cloud.requests == []


def test_questions_of_a_batch_are_judged_one_by_one(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud
) -> None:
    probe = Probe(weights=(1.0, 0.0), bias=0.0)
    store(calibration(threshold("probe", 25.0), probe=probe), pair.manifest)
    questions = ["How many?", "How many cars does she wash?", "Who?"]
    with Client(pair, decoder=decoder, server=cloud.address, route="auto") as client:  # type: ignore[arg-type]
        found = [e for _, e in client.stream_all(questions) if isinstance(e, Result)]
    assert [each.receipt.source for each in found] == ["duet", "device", "duet"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"route": "sky"}, "auto, cloud, device"),
        ({"route": "device", "require_cloud": True}, "contradict"),
        ({"route": "auto", "require_cloud": True}, "contradict"),
    ],
)
def test_what_contradicts_itself_is_refused(pair: Pair, settings: Any, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        Client(pair, **settings)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pair": "other@1.0.0"}, "is of other@1.0.0"),
        ({"decoder_sha256": "0" * 64}, "quantization"),
    ],
)
def test_a_calibration_of_another_decoder_is_left_out_with_a_note(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud, changes: Any, said: str
) -> None:
    foreign = calibration(threshold("margin", 0.5), **changes)
    store(foreign, pair.manifest)
    events = ask(pair, decoder, cloud)
    assert result(events).receipt.source == "duet"
    assert result(events).receipt.route is None
    [note] = [event.text for event in events if isinstance(event, Note)]
    assert said in note
    assert "duet-device calibrate DATA --pair bytes" in note
    assert "the cloud is asked" in note
    # Questions that are not judged need none.
    assert result(ask(pair, decoder, cloud, route="cloud")).receipt.source == "duet"
    assert result(ask(pair, decoder, cloud, route="device")).receipt.source == "device"


def test_a_damaged_calibration_is_left_out_with_a_note(
    pair: Pair, decoder: ScriptedDecoder, cloud: ScriptedCloud
) -> None:
    path = store(calibration(threshold("margin", 0.5)), pair.manifest)
    assert path == own_path(pair.manifest)
    path.write_text("{")
    events = ask(pair, decoder, cloud)
    assert result(events).receipt.source == "duet"
    [note] = [event.text for event in events if isinstance(event, Note)]
    assert "duet-device calibrate DATA" in note


def test_the_command_ends_with_code_3_where_the_device_alone_is_worth_nothing(
    installed: Path,
    decoder: ScriptedDecoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(session_module, "load_decoder", lambda pair, threads: decoder)
    manifest = installed.parent / "pairs" / "bytes" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"alone": "useful"', '"alone": null'))
    assert main(["ask", "--route", "device", "why?"]) == ExitCode.UNREACHABLE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "--route device --force" in said.err
    assert main(["ask", "--route", "device", "--force", "why?"]) == ExitCode.OK
    assert capsys.readouterr().out == f"{ANSWER}\n"
