"""What a run does around its questions: warms up, waits for links, reads energy, is interrupted."""

import _thread
import json
import threading
import time
from collections.abc import Iterator

import grpc
import pytest
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_tools.progress import progress_bar
from duet_tools.results.conditions import Condition
from duet_tools.split import measurement, run
from duet_tools.split.link_pool import LinkPool
from duet_tools.split.load import GIVE_UP_AFTER
from duet_tools.split.measurement import Measurement
from duet_tools.split.modes.base import Reply
from tests.doubles.service import ScriptedCompletions, ScriptedService
from tests.doubles.split_bench import Bench

RATE = ("--profile", "constant", "--rate", "4")


def main(bench: Bench, service: ScriptedService, *more: str) -> int:
    return bench.run("--server", service.address, *more)


def test_what_warms_up_is_asked_before_each_condition_and_counts_nowhere(
    bench: Bench, completions: ScriptedCompletions, service: ScriptedService
) -> None:
    more = ["--modes", "large-alone", "--openai", completions.address, "--concurrency", "1,3"]
    assert main(bench, service, *more, "--warm-up", "2") == 0
    asked = [body["prompt"].removeprefix("Q:") for body in completions.bodies]
    ours = {f"What is {number}?" for number in range(6)}
    # Two before each of the two conditions, of the bench's own.
    assert [text in ours for text in asked] == [False] * 2 + [True] * 6 + [False] * 2 + [True] * 6
    for condition in bench.report.conditions:
        assert condition.asked == 6
        assert {values.count for values in condition.metrics.values()} == {6}
    rows = bench.rows
    assert {row["id"] for row in rows} == {f"q{number}" for number in range(6)}
    # A question's bytes are its own: a warm-up's would be twice another's on the first.
    wire = [row["wire_down"] for row in rows[:6]]
    assert max(wire) < 1.2 * min(wire)


def test_the_link_that_was_asked_for_is_in_every_time(
    bench: Bench, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LinkPool", LinkPool)
    more = ["--modes", "duet", "--link", "satellite,lan", "--warm-up", "0", "--limit", "1"]
    assert main(bench, service, *more) == 0
    far, near = bench.report.conditions
    assert (far.condition.link, near.condition.link) == ("satellite", "lan")
    # A round trip to connect, another one to ask.
    assert far.metrics["connect_ms"].p50 >= 630
    assert far.metrics["first_signal_ms"].p50 >= 2 * 630
    assert near.metrics["first_signal_ms"].p50 < far.metrics["first_signal_ms"].p50
    assert [link.rtt_ms for link in bench.report.links] == [630, 0.5]


@pytest.mark.parametrize("load", [("--concurrency", "1"), ("--concurrency", "2"), RATE])
def test_a_kept_connection_is_open_before_the_first_question(
    bench: Bench, service: ScriptedService, completions: ScriptedCompletions, load: tuple[str, ...]
) -> None:
    more = ["--modes", "duet,large-alone", "--openai", completions.address, "--link", "satellite"]
    more += ["--warm-up", "0", "--limit", "3", "--connections", "kept", *load]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "LinkPool", LinkPool)
        assert main(bench, service, *more) == 0
    split, large = bench.report.conditions
    for condition in (split, large):
        assert (condition.asked, condition.failures) == (3, {})
    # A round trip to ask, none to connect; a second one would be 630 ms.
    rows = bench.rows
    firsts = [row.get("first_signal_ms", row["first_answer_ms"]) for row in rows]
    assert all(630 <= first < 1200 for first in firsts)
    assert all(row.get("connect_ms", 0) < 300 for row in rows)
    assert "kept its connection" in (bench.out / "report.md").read_text("utf-8")


def test_energy_is_summed_over_the_windows_of_a_condition(
    bench: Bench, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Meter:
        def joules(self) -> dict[str, float]:
            return {"package-0": 5.0}

    monkeypatch.setattr(measurement, "EnergyMeter", Meter)
    stop_at(service, 3)
    more = ["--modes", "duet", "--warm-up", "0", "--concurrency", "2"]
    assert main(bench, service, *more) == 130
    assert bench.report.conditions[0].joules == {"package-0": 5.0}
    assert main(bench, service, *more, "--resume") == 0
    assert bench.report.conditions[0].joules == {"package-0": 10.0}
    assert "joules per question" in (bench.out / "report.md").read_text("utf-8")


def stop_at(service: ScriptedService, question: int) -> None:
    """Presses Ctrl-C once, when that question of the data is asked; others then take a second.

    A main thread that a busy machine wakes late finds some of them unanswered, too.
    """
    script, pressed = service.script, threading.Event()
    slow_until: list[float] = []

    def presses(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        # What is measured once asks the first three.
        if request.question == f"What is {question}?" and not pressed.is_set():
            pressed.set()
            slow_until.append(time.monotonic() + 1)
            _thread.interrupt_main()
        if slow_until and time.monotonic() < slow_until[0]:
            time.sleep(1)
        yield from script(request, context)

    service.script = presses


def test_answers_that_ctrl_c_left_without_an_end_do_not_count_in_the_time(
    bench: Bench, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Measurement._finish
    finished: list[Reply] = []

    def interrupted(self: Measurement, condition: Condition, asked: Reply) -> None:
        if len(finished) == 2:
            raise KeyboardInterrupt
        finished.append(asked)
        finish(self, condition, asked)

    monkeypatch.setattr(Measurement, "_finish", interrupted)
    more = ["--modes", "duet", "--warm-up", "0", "--concurrency", "2"]
    assert main(bench, service, *more) == 130
    whole, back = map(json.loads, (bench.out / "windows.jsonl").read_text().splitlines())
    assert back["seconds"] == pytest.approx(-whole["seconds"] * 4 / 6)
    condition = bench.report.conditions[0]
    assert condition.asked == 2
    assert condition.seconds == pytest.approx(whole["seconds"] * 2 / 6, rel=1e-3)
    monkeypatch.setattr(Measurement, "_finish", finish)
    assert main(bench, service, *more, "--resume") == 0
    assert bench.report.conditions[0].answered == 6


def test_a_completions_server_that_dies_halfway_gives_a_partial_report(
    bench: Bench, completions: ScriptedCompletions, service: ScriptedService
) -> None:
    bench.data.write_text(
        "".join(json.dumps({"question": f"Q{n}?", "answer": "7"}) + "\n" for n in range(12)),
        "utf-8",
    )
    says = completions.says

    def dies(prompt: str) -> str:
        if len(completions.bodies) > 4:
            raise ConnectionError  # The answer ends without a word.
        return says(prompt)

    completions.says = dies
    more = ["--modes", "duet,large-alone", "--openai", completions.address, "--warm-up", "0"]
    assert main(bench, service, *more) == 1
    split, large = bench.report.conditions
    assert split.complete
    assert (large.answered, large.failures) == (4, {"unreachable": GIVE_UP_AFTER + 1})
    assert not large.complete
    assert "could not be reached any more, in large-alone/none" in str(bench.report.partial)


def test_the_bar_shows_what_is_done_of_all_and_the_time_left(
    bench: Bench, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Progress] = []
    console = Console(force_terminal=True, record=True, width=120)

    def bar(_: Console) -> Progress:
        bars.append(progress_bar(console))
        return bars[-1]

    monkeypatch.setattr(run, "progress_bar", bar)
    more = ["--modes", "duet,device-alone", "--concurrency", "1,2", "--warm-up", "0"]
    assert main(bench, service, *more) == 0
    (task,) = bars[0].tasks
    assert (task.completed, task.total) == (18, 18)
    assert "18/18" in console.export_text()
    assert any(isinstance(column, TimeRemainingColumn) for column in bars[0].columns)


def test_a_service_that_stops_before_the_answer_is_not_asked_for_one(
    bench: Bench, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((bench.pair / "manifest.json").read_text("utf-8"))
    manifest["decoder"]["end_of_answer"] = ["."]
    (bench.pair / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert main(bench, service, "--modes", "duet,large-alone-service") == 2
    assert "stops where reasoning ends and never answers" in capsys.readouterr().err
    assert not bench.out.exists()
