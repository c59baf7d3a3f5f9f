import json
import sys

from duet_contract.manifest import parse_manifest
from duet_contract.receipt import Bytes, Flops, Milliseconds, Receipt, Tokens, estimate_flops
from tests.doubles.manifests import manifest_data

FIGURE = {
    "data": "d",
    "questions": 10,
    "accuracy": 0.5,
    "signal_tokens": 5,
    "answer_tokens": 3,
    "reasoner_alone_tokens": 50,
}


def test_flops_without_figures_assume_no_saving_beyond_the_answer():
    manifest = parse_manifest(json.dumps(manifest_data()))
    flops = estimate_flops(manifest, signal_tokens=10, answer_tokens=4)
    assert flops == Flops(reasoner=2 * 1000 * 10, reasoner_alone=2 * 1000 * 14)


def test_flops_alone_come_from_measured_figures():
    manifest = parse_manifest(json.dumps(manifest_data(evaluation=[FIGURE])))
    assert estimate_flops(manifest, 10, 4).reasoner_alone == 2 * 1000 * 50
    assert estimate_flops(manifest, 80, 4).reasoner_alone == 2 * 1000 * 80


def test_receipt_is_the_documented_json():
    receipt = Receipt(
        answer="8",
        signal="3+5",
        source="duet",
        pair="toy@1.2.3",
        request_id="r",
        finish="end",
        tokens=Tokens(question=1, signal=2, answer=3),
        bytes=Bytes(up=10, down=20),
        ms=Milliseconds(connect=1.0, first_signal=2.0, signal=3.0, first_answer=4.0, total=5.0),
        flops=Flops(reasoner=157e6, reasoner_alone=1_377e6),
    )
    data = json.loads(receipt.model_dump_json())
    assert list(data) == [
        "answer", "signal", "source", "pair", "request_id", "finish", "tokens", "bytes", "ms",
        "flops", "value", "confidence", "chance", "low_confidence", "work", "doubts",
        "numbers_sent", "outcome", "server", "resumed", "rounds", "route",
    ]  # fmt: skip
    assert list(data["ms"]) == ["connect", "first_signal", "signal", "first_answer", "total"]
    assert Receipt.model_validate(data) == receipt


def test_operations_are_whole():
    flops = Flops(reasoner=157_925_376.0, reasoner_alone=1_377_402_568.704)
    assert flops.model_dump_json() == '{"reasoner":157925376.0,"reasoner_alone":1377402569.0}'


def test_rounding_runs_no_python_in_which_ctrl_c_could_arrive():
    """What its handler raises there, pydantic replaces by an error of its own."""
    times = Milliseconds(connect=1.0, first_signal=2.0, signal=3.0, first_answer=4.0, total=5.0)
    ran = []
    sys.setprofile(lambda frame, event, _: event == "call" and ran.append(frame.f_code))
    try:
        times.model_dump_json()
    finally:
        sys.setprofile(None)
    assert [code.co_filename for code in ran if "pydantic" not in code.co_filename] == []


def test_times_are_written_to_a_tenth_of_a_millisecond():
    times = Milliseconds(
        connect=1.23456, first_signal=None, signal=None, first_answer=0.04, total=1234.5678
    )
    assert json.loads(times.model_dump_json()) == {
        "connect": 1.2, "first_signal": None, "signal": None, "first_answer": 0.0, "total": 1234.6
    }  # fmt: skip
    assert times.total == 1234.5678
