"""`duet-bench local`: what the figures of the local server are computed from."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from duet_contract.receipt import Bytes, Flops, Milliseconds, Receipt, Tokens
from duet_tools.errors import BenchError
from duet_tools.local import asked, chat, memory, run
from duet_tools.local.asked import Redacted
from duet_tools.local.chat import TurnTook
from duet_tools.local.served import DeviceCommands, Run
from duet_tools.results.figures import Figure, Results
from tests.doubles.commands import bench
from tests.doubles.small_pairs import write_pair


def _receipt(
    *,
    connect: float | None = None,
    first_answer: float | None = 100.0,
    total: float = 150.0,
    answer: int = 4,
) -> Receipt:
    return Receipt(
        answer="7",
        signal="",
        source="device",
        pair="p@1.0.0",
        request_id="1",
        finish="end",
        tokens=Tokens(question=3, signal=2, answer=answer),
        bytes=Bytes(up=0, down=0),
        ms=Milliseconds(
            connect=connect, first_signal=None, signal=40.0, first_answer=first_answer, total=total
        ),
        flops=Flops(reasoner=0.0, reasoner_alone=0.0),
    )


def _run(wall: float, cpu: float = 1.0, **receipt: Any) -> Run:
    return Run(wall, cpu, _receipt(**receipt))


def _by_id(figures: Iterator[Figure]) -> dict[str, Figure]:
    return {figure.id: figure for figure in figures}


def test_a_warm_ask_is_judged_by_what_it_adds_to_its_signal_and_decoding() -> None:
    found = _by_id(
        asked.ask_figures(
            # From the connection at 20 ms to the last token at 220 and 320 ms.
            warm=[
                _run(270, 90, connect=20.0, total=220.0),
                _run(390, 100, connect=20.0, total=320.0),
            ],
            cold=[_run(540, 900), _run(780, 1000)],
            least=[Run(60, 50), Run(60, 55)],
        )
    )
    assert found["ask.warm"].judged.values == (70.0, 90.0)
    assert found["ask.warm"].met
    assert list(found["ask.warm"].details.values()) == [95.0, 42.5]
    assert found["ask.cold"].judged.values == (2.0, 2.0)
    assert found["ask.cold"].target is None


def test_the_api_is_judged_by_milliseconds_a_request_and_by_its_speed() -> None:
    found = _by_id(
        asked.api_figures(
            program=[_run(10, 10)],
            request=[_run(14, 12.5)],
            long=[_run(1000, 900, answer=100)],
            stream=[_run(1020, 990, answer=101)],
        )
    )
    assert found["api.request"].judged.median == 4.0
    assert found["api.request"].met is False
    assert found["api.request"].details == {"processor time more, ms": 2.5}
    # Speeds are compared, so that another length of the answer does not count.
    assert found["api.speed"].judged.median == pytest.approx(101 / 1.02 / 100)
    assert found["api.speed"].met
    assert found["api.speed"].details["answer tokens"] == 101


def test_redaction_is_judged_by_the_first_answer_token() -> None:
    # The redacted question has the longer answer, which does not count.
    plain, first = _run(150), _run(900, first_answer=650.0, total=900.0)
    later = _run(160, first_answer=110.0)
    figure = asked.redact_figure("served", None, [Redacted(plain, first, later)])
    assert figure.id == "redact.served"
    assert figure.judged.median == pytest.approx(0.55)
    assert figure.met is False
    assert figure.details["later ones, s"] == pytest.approx(0.01)
    cold = asked.redact_figure("cold", "en_core_web_sm", [Redacted(plain, first)])
    assert (cold.id, cold.met, cold.details) == ("redact.cold-model", True, {})
    assert "en_core_web_sm" in cold.title


def test_an_answer_that_ends_with_its_first_token_has_it_at_the_end() -> None:
    assert _run(200, first_answer=None, total=150.0).first_answer_s == 0.15


def test_questions_about_people_share_neither_beginning_nor_name() -> None:
    questions = [asked.personal(number) for number in range(4)]
    for word in range(4):
        assert len({question.split()[word] for question in questions}) == 4
    assert len({len(question.split()) for question in questions}) == 1


def _turn(wait: float, context: int, *, question: int = 3) -> TurnTook:
    tokens = Tokens(question=question, signal=2, answer=4, context=context)
    return TurnTook(tokens, 10 * wait, wait)


def test_a_later_turn_of_a_chat_is_judged_against_an_early_one() -> None:
    early, late = [_turn(50, 100), _turn(60, 100)], [_turn(60, 900), _turn(66, 900)]
    found = _by_id(chat.figures(early, late))
    assert found["chat.first-token"].judged.values == pytest.approx((1.2, 1.1))
    assert found["chat.first-token"].met is False
    assert list(found["chat.first-token"].details.values()) == [100.0, 900.0]
    assert found["chat.prompt"].subject.summary.values == (600.0, 660.0)


def test_turns_that_differ_in_more_than_their_history_are_not_compared() -> None:
    with pytest.raises(BenchError, match="differ in question or signal tokens"):
        list(chat.figures([_turn(50, 100)], [_turn(60, 900, question=4)]))


def test_every_turn_of_a_chat_has_all_before_it(manifest: Any) -> None:
    earlier: list[int] = []

    def ask(question: Any, **_: object) -> Any:
        earlier.append(len(question.earlier))
        return SimpleNamespace(
            receipt=_receipt(),
            timings=SimpleNamespace(prefix=20.0),
            answer="7",
            signal_ids=(1, 2),
            answer_ids=(3,),
        )

    client: Any = SimpleNamespace(ask=ask)
    first, prompt = chat.measure(1, client, manifest)
    # A conversation to warm up, and one that counts.
    assert earlier == [*range(chat.LATE)] * 2
    assert first.subject.summary.values == (60.0,)
    assert prompt.subject.summary.values == (20.0,)


def test_memory_is_what_the_model_and_its_cache_do_not_account_for() -> None:
    figure = memory.figure([250_000_000, 260_000_000], 90_000_000, 60_000_000)
    assert figure.judged.values == (100.0, 110.0)
    assert figure.met is False
    assert figure.details == {"model file, MB": 90.0, "key-value cache, MB": 60.0}


_PROGRAM = textwrap.dedent(
    """
    import os, sys
    if "fails" in sys.argv: sys.exit("duet-device: no cloud")
    print(os.environ["DUET_HOME"] and open(os.environ["RECEIPT"]).read())
    """
)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeviceCommands:
    """A device whose commands print a receipt."""
    (tmp_path / "receipt").write_text(json.dumps({**_receipt().model_dump(), "stored": "a1"}))
    monkeypatch.setenv("RECEIPT", str(tmp_path / "receipt"))
    program = [sys.executable, "-S", "-c", _PROGRAM]
    return DeviceCommands(program, tmp_path / "home", tmp_path, "127.0.0.1:1", 1)


def test_a_command_is_measured_with_its_processor_time(device: DeviceCommands) -> None:
    took = device.ask("why?")
    assert took.receipt == _receipt()
    assert took.cpu_ms > 0
    assert took.wall_ms > 0
    with pytest.raises(BenchError, match="duet-device ask failed: duet-device: no cloud"):
        device.ask("why?", "fails")


def test_another_environment_has_its_own_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    finds = ["-c", "import elsewhere"]
    own, other = run.interpreter(Path(sys.executable)), run.interpreter(python)
    assert subprocess.run([*own, *finds], check=False).returncode == 0
    assert subprocess.run([*other, *finds], check=False, stderr=subprocess.DEVNULL).returncode == 1


def test_figures_are_written_and_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pair(tmp_path / "pair")
    out = tmp_path / "local.json"
    chosen: list[object] = []

    def measure(_: object, wanted: object, *settings: object) -> Iterator[Figure]:
        chosen.extend((wanted, *settings))
        yield memory.figure([3_000_000], 1_000_000, 1_000_000)

    monkeypatch.setattr(run, "measure", measure)
    given = ["local", "--pair", str(tmp_path / "pair"), "--out", str(out)]
    given += ["--figures", "memory", "--repeats", "3", "--threads", "2"]
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "argv", ["duet-bench", *given])
    assert bench([*given, "--device-python", str(python)]) == 0
    assert bench(given) == 0
    settings = ("memory",), 3, 2
    assert chosen == [*settings, python, *settings, Path(sys.executable)]
    (figure,) = Results.read(out).figures
    assert (figure.id, figure.met) == ("memory.serve", True)
    assert figure.command.startswith("duet-bench local --pair pair --out local.json")
    assert "resident set after answers" in capsys.readouterr().err
    assert bench(["local", "--figures", "speed"]) == 2
    assert "no figure 'speed'" in capsys.readouterr().err
