"""The whole command, on a scripted service, a scripted server and a decoder over bytes."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_tools.report.readme import readme
from duet_tools.split.load import offsets
from duet_tools.subjects.workload import Workload
from tests.doubles import cloud
from tests.doubles.service import ScriptedCompletions, ScriptedService, reasons, self_signed
from tests.doubles.split_bench import Bench


def main(bench: Bench, service: ScriptedService, *more: str) -> int:
    return bench.run("--server", service.address, "--warm-up", "0", *more)


def test_every_mode_gives_a_condition_with_its_figures(
    bench: Bench,
    service: ScriptedService,
    completions: ScriptedCompletions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The pair has no tokenizer to read it from.
    monkeypatch.setattr(Workload, "stop_id", 256)
    modes = "duet,large-alone,large-alone-service,device-alone,truncated"
    more = ["--modes", modes, "--openai", completions.address, "--concurrency", "1,3"]
    assert main(bench, service, *more, "--objective", "total=60") == 0
    found = {condition.id: condition for condition in bench.report.conditions}
    assert list(found) == [
        "device-alone/none/1 at once",
        "duet@16/none/1 at once", "duet@16/none/3 at once",
        "large-alone-service/none/1 at once", "large-alone-service/none/3 at once",
        "large-alone/none/1 at once", "large-alone/none/3 at once",
        "truncated@16/none/1 at once", "truncated@16/none/3 at once",
    ]  # fmt: skip
    for condition in found.values():
        assert condition.complete
        assert (condition.asked, condition.answered, condition.failures) == (6, 6, {})
        assert condition.goodput_per_s == pytest.approx(condition.answers_per_s)
    accuracy = {
        name: condition.accuracy.value for name, condition in found.items() if condition.accuracy
    }
    # The first question's answer is another; the service alone says "3 and 4".
    assert {name.partition("/")[0]: round(value, 3) for name, value in accuracy.items()} == {
        "device-alone": 0.833, "duet@16": 0.833, "large-alone-service": 0, "large-alone": 0.833,
        "truncated@16": 0.833,
    }  # fmt: skip


@pytest.mark.parametrize("streams", ["1", "2"])
def test_a_question_of_the_split_has_its_tokens_bytes_and_times(
    bench: Bench, service: ScriptedService, streams: str
) -> None:
    assert main(bench, service, "--modes", "duet", "--concurrency", streams) == 0
    record = bench.rows[-1]
    assert record["answer"] == "it is 7"
    assert (record["signal_tokens"], record["answer_tokens"]) == (7, 7)
    assert record["question_tokens"] == len("What is 5?")
    assert record["device"] == ("live" if streams == "1" else "replayed")
    assert record["wire_down"] > record["app_down"] > 20
    assert record["wire_up"] > record["app_up"] > 100
    assert (record["queue_ms"], record["decode_ms"], record["cloud_s"]) == (1.0, 30.0, 0.032)
    assert record["cloud_step_ms"] == pytest.approx(5.0)
    answering_ms = record["total_ms"] - record["first_answer_ms"]
    assert record["device_step_ms"] == pytest.approx(answering_ms / 6)
    moments = ["connect_ms", "first_signal_ms", "signal_ms", "first_answer_ms", "total_ms"]
    times = [record[name] for name in moments]
    assert times == sorted(times)
    assert times[0] > 0
    assert record["flops"] == 2 * 1000 * 7
    assert record["saved_ms"] == pytest.approx(
        record["late_ms"] - (record["first_answer_ms"] - record["signal_ms"])
    )


def test_every_form_of_the_report_is_written(
    bench: Bench, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = ["--price-host-hour", "2", "--price-million-tokens", "3", "--price-gib", "0.1"]
    assert main(bench, service, "--modes", "duet", *prices) == 0
    assert {path.name for path in bench.out.iterdir()} == {
        "report.json", "report.md", "report.html", "questions.csv", "questions.jsonl", "run.json",
        "windows.jsonl", "probe.json",
    }  # fmt: skip
    found = bench.report
    assert found.partial is None
    assert "duet @16" in capsys.readouterr().err
    assert found.conditions[0].cost_per_correct is not None
    assert found.handshake is not None
    assert found.handshake.up > 20
    assert set(found.bytes_per_token) == {"token ids", "text"}
    text = (bench.out / "report.json").read_text("utf-8")
    assert not any(private in text for private in (str(bench.out.parent), "127.0.0.1"))
    assert len((bench.out / "questions.csv").read_text("utf-8").splitlines()) == 7


def test_data_without_answers_leaves_accuracy_out_and_says_so(
    bench: Bench, service: ScriptedService
) -> None:
    bench.data.write_text('{"question": "Why?"}\n', "utf-8")
    assert main(bench, service, "--modes", "duet") == 0
    found = bench.report
    assert found.conditions[0].accuracy is None
    assert found.conditions[0].ipt is None
    assert "Accuracy is left out: not every question of the data has an answer." in found.notes
    assert "not measured" in (bench.out / "report.md").read_text("utf-8")


def test_a_path_that_looks_like_markup_is_printed_as_it_is(
    bench: Bench, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.out = bench.out.with_name("o[bold]z") / "x[/y]"
    assert main(bench, service, "--modes", "duet", "--limit", "1") == 0
    assert f"written: {bench.out}/report.json, report.md" in capsys.readouterr().err


def test_refusals_of_a_full_service_are_counted(bench: Bench, service: ScriptedService) -> None:
    running, refused = threading.Semaphore(1), threading.Event()
    script = service.script

    def one_at_a_time(
        request: ReasonRequest, context: grpc.ServicerContext
    ) -> Iterator[ReasonResponse]:
        if len(request.encodings) == 1:
            # The probe of what an encoding costs asks before all others, one by one.
            yield from script(request, context)
            return
        if not running.acquire(blocking=False):
            refused.set()
            wait = RetryInfo(retry_delay=Duration(nanos=10**7))
            cloud.abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "full", wait)
        try:
            # Busy until another was refused, and for as long as that one may ask again.
            assert refused.wait(60)
            time.sleep(0.3)
            yield from script(request, context)
        finally:
            running.release()

    service.script = one_at_a_time
    more = ["--modes", "duet", "--concurrency", "3", "--limit", "3"]
    assert main(bench, service, *more) == 0
    found = bench.report
    condition = found.conditions[0]
    assert condition.answered + condition.failures["busy"] == condition.asked == 3
    assert condition.failures["busy"] >= 1
    assert found.partial is None
    # A question that was refused was not answered right.
    assert condition.accuracy
    assert condition.accuracy.value <= condition.answered / 3 + 1e-6


def test_same_questions_same_order_same_seeds(
    bench: Bench, service: ScriptedService, completions: ScriptedCompletions
) -> None:
    more = ["--modes", "duet,large-alone", "--openai", completions.address, "--seed", "40"]
    assert main(bench, service, *more) == 0
    split = [(r.question, r.seed) for r in service.requests[-6:]]
    alone = [(body["prompt"].removeprefix("Q:"), body["seed"]) for body in completions.bodies]
    assert split == alone == [(f"What is {n}?", 40 + n) for n in range(6)]


@pytest.mark.parametrize("profile", ["constant", "poisson"])
def test_questions_come_at_a_rate(
    bench: Bench, service: ScriptedService, profile: Literal["constant", "poisson"]
) -> None:
    more = ["--modes", "duet", "--profile", profile, "--rate", "20", "--seed", "3"]
    assert main(bench, service, *more) == 0
    found = bench.report.conditions[0]
    assert found.condition.load == f"20/s {profile}"
    at = [row["at_s"] for row in bench.rows]
    wanted = offsets(6, 20.0, profile, seed=3)
    assert at == pytest.approx(wanted, abs=10)
    # Never before its time, give or take a timer.
    assert all(each >= due - 0.01 for each, due in zip(at, wanted, strict=True))


def test_over_tls_the_wire_carries_more(bench: Bench, tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    with ScriptedService(reasons(), "bytes@1.0.0", credentials) as service:
        more = ["--modes", "duet", "--tls-ca", str(certificate)]
        assert main(bench, service, *more) == 0
        text = readme(bench.report)
    # Only a plaintext report has to say what TLS would add.
    assert "plaintext" not in text
    found = bench.report
    assert found.settings.tls
    assert found.handshake is not None
    # A certificate alone has several hundred bytes.
    assert found.handshake.down > 500
    condition = found.conditions[0]
    assert condition.answered == 6
    assert condition.metrics["wire_down"].p50 > found.handshake.down
    assert "A TLS connection that asks nothing" in (bench.out / "report.md").read_text("utf-8")


def test_a_sweep_measures_rates_in_between(bench: Bench, service: ScriptedService) -> None:
    script = service.script

    def slow(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        time.sleep(0.3)
        yield from script(request, context)

    service.script = slow
    more = ["--modes", "duet", "--profile", "sweep", "--concurrency", "3", "--sweep-steps", "2"]
    assert main(bench, service, *more) == 0
    conditions = [condition.condition for condition in bench.report.conditions]
    assert [condition.streams for condition in conditions] == [1, 3, None, None]
    assert conditions[2].rate < conditions[3].rate  # type: ignore[operator]
