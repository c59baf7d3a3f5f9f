"""The bench's command line, and what it runs, without an engine."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from duet_tools.bench import run
from duet_tools.errors import BenchError
from duet_tools.progress import public_command
from duet_tools.results.figures import Figure
from duet_tools.subjects.children import Child
from duet_tools.subjects.openai_server import signal_tokens
from duet_tools.subjects.workload import question
from tests.doubles.commands import bench


@pytest.mark.parametrize(
    "arguments",
    [
        ["--figures", "nothing"],
        ["--figures", ","],
        ["--repeats", "0"],
        ["--repeats", "many"],
        ["--pair", "no-such-pair"],
        ["--no-such-option"],
    ],
)
def test_usage_errors_are_one_line_and_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(["figures", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("duet-bench: ")
    assert said.count("\n") == 1


def test_unknown_figures_are_answered_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench(["figures", "--figures", "bytes,nothing"])
    assert "no figure 'nothing'; there are: startup, overhead, decoder" in capsys.readouterr().err


def test_commands_in_results_hold_no_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--pair", "/a/secret/pair", "--out=/b/out.json", "-r5"])
    assert public_command() == "duet-bench --pair pair --out=out.json -r5"


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, figure: Figure) -> None:
    """A group of figures whose second one is interrupted."""

    def measure(bench: object) -> Iterator[Figure]:
        yield figure
        raise KeyboardInterrupt

    group = SimpleNamespace(steps=lambda bench: 1, measure=measure)
    monkeypatch.setattr(run, "_module", lambda name: group)
    manifest = SimpleNamespace(reference="small@1.0.0")
    monkeypatch.setattr(
        "duet_tools.subjects.workload.Workload.open",
        lambda name: SimpleNamespace(manifest=manifest),
    )


def test_interrupt_keeps_what_was_measured(
    scripted: None, tmp_path: Path, figure: Figure, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert bench(["figures", "--figures", "bytes", "--out", str(out)]) == 130
    written = json.loads(out.read_text("utf-8"))
    assert [each["id"] for each in written["figures"]] == [figure.id]
    assert written["figures"][0]["commit"] == written["commit"]
    assert "interrupted" in capsys.readouterr().err


def test_a_child_that_ends_is_told_with_its_last_words() -> None:
    program = "import sys; print('first', flush=True); sys.exit('no such model')"
    with (
        Child("the engine", [sys.executable, "-c", program]) as child,
        pytest.raises(BenchError, match="the engine ended at once: no such model"),
    ):
        child.wait_until(lambda: False, 30)


def test_a_child_that_is_not_ready_in_time_is_told_and_ended() -> None:
    program = "import time; time.sleep(60)"
    with (
        Child("the engine", [sys.executable, "-c", program]) as child,
        pytest.raises(BenchError, match=r"not ready after 0\.2 s"),
    ):
        child.wait_until(lambda: False, 0.2)
    assert child.process.poll() is not None


def test_a_child_that_talks_is_heard_until_it_ends() -> None:
    program = "import sys; print(sys.stdin.readline().upper()); sys.exit('no more')"
    with Child("the links", [sys.executable, "-c", program], talks=True) as child:
        child.tell({"do": 1})
        assert child.hear() == {"DO": 1}
        assert child.process.wait(60) == 1
        with pytest.raises(BenchError, match="the links ended: no more"):
            child.tell({"do": 2})
        assert child.process.stdout
        child.process.stdout.read()
        with pytest.raises(BenchError, match="the links ended: no more"):
            child.hear()


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(BenchError, match="cannot start the engine"):
        Child("the engine", ["/no/such/program"])


@pytest.mark.parametrize(("reason", "tokens"), [("length", 12), ("stop", 11)])
def test_the_closing_token_is_no_signal(reason: str, tokens: int) -> None:
    last = "data: " + json.dumps({"choices": [{"finish_reason": reason}]})
    usage = "data: " + json.dumps({"choices": [], "usage": {"completion_tokens": 12}})
    assert signal_tokens(last, usage) == tokens


def test_no_question_is_asked_twice() -> None:
    assert len({question(number) for number in range(500)}) == 500
