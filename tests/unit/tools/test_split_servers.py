"""Which servers a run asks: those it was given, or those it starts, one at a time."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from duet_tools.split import servers
from duet_tools.split.servers import Servers
from duet_tools.subjects.workload import Workload
from tests.doubles.service import ScriptedCompletions, ScriptedService, reasons
from tests.doubles.split_bench import Bench


class Started:
    """A server that was started; `running`: those that have not been ended, in order."""

    running: ClassVar[list["Started"]] = []
    told: ClassVar[list[str]] = []

    def __init__(self, workload: Any, engine: Any, flags: Any = ()) -> None:
        self.engine, self.flags = tuple(engine), tuple(flags)
        self.last_words: str | None = None
        self.start()
        self.running.append(self)
        self.told.append(type(self).__name__)

    def start(self) -> None:
        pass

    def ending(self) -> str | None:
        return self.last_words

    def stop(self) -> None:
        self.running.remove(self)


class Service(Started):
    def start(self) -> None:
        self.server = ScriptedService(reasons(), "bytes@1.0.0").__enter__()
        self.address = self.server.address

    def stop(self) -> None:
        super().stop()
        self.server.stop()


class OpenAI(Started):
    def start(self) -> None:
        self.server = ScriptedCompletions(lambda prompt: "I think it is 7").__enter__()
        self.port = int(self.server.address.rpartition(":")[2])

    def stop(self) -> None:
        super().stop()
        self.server.__exit__()


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(servers, "ServiceSubject", Service)
    monkeypatch.setattr(servers, "OpenAIServer", OpenAI)
    # The pair has no tokenizer to read it from.
    monkeypatch.setattr(Workload, "stop_id", 256)
    Started.told.clear()
    yield
    assert Started.running == []


@pytest.fixture
def asked() -> Iterator[Servers]:
    workload: Any = SimpleNamespace(manifest=SimpleNamespace(reference="bytes@1.0.0"))
    made = Servers(workload, None, None, ["--seed", "1"], ["--max-waiting", "9"], None, print)
    yield made
    made.stop()


def test_servers_are_started_when_first_needed_and_run_one_at_a_time(asked: Servers) -> None:
    assert Started.told == []
    address = asked.service()
    assert asked.service() == address
    (service,) = Started.running
    assert (service.engine, service.flags) == (("--seed", "1"), ("--max-waiting", "9"))
    completions, model = asked.openai()
    assert (asked.openai()[0], model) == (completions, "reasoner")
    (openai,) = Started.running
    # The service tells its own times; the OpenAI server has to be asked to.
    assert openai.engine == (*service.engine, "--enable-per-request-metrics")
    assert Started.told == ["Service", "OpenAI"]


def test_what_a_server_that_ended_said_last_is_passed_on(asked: Servers) -> None:
    asked.service()
    assert asked.why_gone() == ""
    Started.running[0].last_words = "the service ended: out of memory"
    assert asked.why_gone() == ": the service ended: out of memory"


def test_a_run_without_addresses_starts_what_its_modes_need(bench: Bench) -> None:
    more = ["--modes", "duet,large-alone,device-alone", "--warm-up", "0", "--concurrency", "1,2"]
    assert bench.run(*more, "--", "--seed", "1") == 0
    # One start for both loads.
    assert Started.told == ["Service", "OpenAI"]
    found = bench.report
    assert all(condition.complete and condition.answered == 6 for condition in found.conditions)
    assert found.settings.started_here
    # The second condition is not to find the first one's work.
    assert found.settings.engine_flags == ("--no-enable-prefix-caching", "--seed", "1")
    assert "Prefix caching was off: every condition asks the same questions." in found.notes


def test_a_server_that_cannot_be_started_behind_others_keeps_what_was_measured(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(self: OpenAI) -> None:
        raise servers.BenchError("vLLM's OpenAI server ended at once: no such model")

    monkeypatch.setattr(OpenAI, "start", fails)
    assert bench.run("--modes", "duet,large-alone", "--warm-up", "0") == 1
    assert "no such model; continue with --resume" in capsys.readouterr().err
    found = bench.report
    assert found.partial == "vLLM's OpenAI server ended at once: no such model"
    assert [condition.condition.mode for condition in found.conditions] == ["duet"]


def test_the_committed_command_line_names_no_folder(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = [*bench.files, "--modes", "device-alone"]
    monkeypatch.setattr("sys.argv", ["duet-bench", "split", *given])
    assert bench.run("--modes", "device-alone") == 0
    assert bench.report.command == (
        "duet-bench split --data data.jsonl --pair pair --out out --modes device-alone"
    )
