"""A run that ends early: what is written, and how it is resumed."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_tools.split.modes.large import LargeAlone
from duet_tools.split.modes.split import Split
from tests.doubles import cloud
from tests.doubles.service import ScriptedCompletions, ScriptedService
from tests.doubles.split_bench import Bench


def main(bench: Bench, service: ScriptedService, *more: str) -> int:
    return bench.run("--server", service.address, "--warm-up", "0", *more)


@pytest.mark.parametrize("streams", ["1", "2"])
def test_a_service_that_dies_halfway_gives_a_partial_report_and_can_be_resumed(
    bench: Bench, service: ScriptedService, streams: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alive, script = threading.Semaphore(3 + 6), service.script

    def dies(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if not alive.acquire(blocking=False):
            cloud.abort(context, grpc.StatusCode.UNAVAILABLE, "gone")
        return script(request, context)

    service.script = dies
    bench.data.write_text(
        "".join(json.dumps({"question": f"Q{n}?", "answer": "7"}) + "\n" for n in range(12)),
        "utf-8",
    )
    more = ["--modes", "duet", "--concurrency", streams]
    assert main(bench, service, *more) == 1
    assert "could not be reached any more, in duet@16/none" in capsys.readouterr().err
    found = bench.report
    assert found.partial is not None
    assert not found.conditions[0].complete
    assert found.conditions[0].answered == 3
    assert found.conditions[0].failures["unreachable"] >= 4
    assert "Partial:" in (bench.out / "report.md").read_text("utf-8")
    assert "Partial:" in (bench.out / "report.html").read_text("utf-8")
    service.script = script
    assert main(bench, service, *more, "--resume") == 0
    found = bench.report
    assert found.partial is None
    assert (found.conditions[0].asked, found.conditions[0].answered) == (12, 12)


def test_an_output_folder_that_exists_is_kept(
    bench: Bench, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.out.mkdir()
    (bench.out / "thesis.txt").write_text("mine", "utf-8")
    assert main(bench, service, "--modes", "duet") == 2
    assert (
        "exists and is not empty: give another --out, or continue it with --resume"
        in capsys.readouterr().err
    )
    assert [path.name for path in bench.out.iterdir()] == ["thesis.txt"]
    assert not service.requests


def test_ctrl_c_writes_what_there_is_and_resume_goes_on(
    bench: Bench,
    service: ScriptedService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ask = Split.ask

    def interrupted(self: Split, question: Any, index: int, *rest: Any) -> Any:
        if index == 3:
            raise KeyboardInterrupt
        return ask(self, question, index, *rest)

    monkeypatch.setattr(Split, "ask", interrupted)
    assert main(bench, service, "--modes", "duet") == 130
    assert "interrupted" in capsys.readouterr().err
    found = bench.report
    assert found.partial == "interrupted"
    assert (found.conditions[0].asked, found.conditions[0].complete) == (3, False)
    monkeypatch.undo()
    asked = len(service.requests)
    monkeypatch.setattr("duet_tools.split.run.load_decoder", lambda pair, threads: bench.decoder)
    assert main(bench, service, "--modes", "duet", "--resume") == 0
    assert bench.report.conditions[0].answered == 6
    assert len(service.requests) == asked + 3
    # What is measured once is kept from the first time.
    assert bench.report.handshake == found.handshake is not None
    # The condition's clock continues, or the host's seconds of both runs would be counted as one's.
    began = [row.get("at_s", 0.0) for row in bench.rows]
    assert began == sorted(began)
    assert min(began[3:]) > found.conditions[0].seconds * 0.99


def test_what_the_large_model_answered_before_ctrl_c_is_whole(
    bench: Bench,
    service: ScriptedService,
    completions: ScriptedCompletions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask = LargeAlone.ask

    def interrupted(self: LargeAlone, question: Any, index: int, *rest: Any) -> Any:
        if index == 2:
            raise KeyboardInterrupt
        return ask(self, question, index, *rest)

    monkeypatch.setattr(LargeAlone, "ask", interrupted)
    more = ["--modes", "large-alone", "--openai", completions.address]
    assert main(bench, service, *more) == 130
    condition = bench.report.conditions[0]
    assert (condition.answered, condition.metrics["large_tokens"].mean) == (2, 5)
    assert condition.metrics["total_ms"].count == 2


def test_resuming_another_run_is_refused(
    bench: Bench, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(bench, service, "--modes", "duet") == 0
    assert main(bench, service, "--modes", "duet", "--seed", "5", "--resume") == 2
    assert "it differs in seed" in capsys.readouterr().err
