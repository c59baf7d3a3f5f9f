"""The fault matrix's own parts: what it cuts, kills, counts and writes."""

import importlib
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duet_tools.errors import UsageProblem
from duet_tools.faults import matrix, overload
from duet_tools.faults.continuing import _NO_END
from duet_tools.faults.cutting import Cut, CuttingRelay, Frames
from duet_tools.faults.homes import Said
from duet_tools.faults.trials import NotRun, Row, Setting, Trials, Unheld, Void
from duet_tools.faults.whole_budget import NoControlTokens
from duet_tools.report.fault_table import fault_table
from duet_tools.results.faults import FaultMatrix, FaultResult
from duet_tools.results.figures import Machine
from duet_tools.subjects.children import free_port
from tests.doubles import vocabularies
from tests.doubles.commands import bench_faults
from tests.doubles.small_pairs import write_pair
from tests.doubles.tcp import echo, read_all, serving

DATA, HEADERS = 0, 1


def http2(kinds: list[tuple[int, int]]) -> bytes:
    """Frames of these types and lengths."""
    return b"".join(
        length.to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 1]) + bytes(length)
        for kind, length in kinds
    )


@given(
    kinds=st.lists(st.tuples(st.sampled_from([DATA, HEADERS]), st.integers(0, 40)), max_size=12),
    sizes=st.lists(st.integers(1, 30), max_size=60),
    wanted=st.integers(1, 12),
)
def test_messages_are_counted_however_bytes_arrive(
    kinds: list[tuple[int, int]], sizes: list[int], wanted: int
) -> None:
    data = http2(kinds)
    ends = [len(http2(kinds[: index + 1])) for index, (kind, _) in enumerate(kinds) if kind == DATA]
    frames, passed, cut = Frames(), 0, None
    for size in (*sizes, len(data)):
        part = data[passed : passed + size]
        if part and (length := frames.length_to(part, wanted)) is not None:
            cut = passed + length
            break
        passed += len(part)
    assert cut == (ends[wanted - 1] if len(ends) >= wanted else None)


def _through(address: str, data: bytes) -> bytes:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        try:
            return read_all(client)
        except ConnectionResetError:
            return b"reset"


@pytest.mark.parametrize("reset", [False, True])
def test_only_the_first_connection_is_cut_and_only_after_so_many_bytes(reset: bool) -> None:
    with serving(echo) as address, CuttingRelay(address, Cut(bytes=5, reset=reset)) as relay:
        assert _through(relay.address, b"0123456789") in (b"01234", b"reset")
        assert relay.is_cut
        assert _through(relay.address, b"0123456789") == b"0123456789"


def test_a_process_is_killed_before_its_nth_change_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "writes.py").write_text(
        "import sys, pathlib\nfor name in 'abc': pathlib.Path(sys.argv[1], name).write_text('')\n"
    )
    folder = tmp_path / "folder"
    folder.mkdir()

    def run(number: int) -> subprocess.CompletedProcess[str]:
        module = Path(matrix.__file__).with_name("killed_at.py")
        return subprocess.run(
            [sys.executable, str(module), str(number), str(folder), "writes", str(folder)],
            cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        )  # fmt: skip

    assert run(2).returncode == -signal.SIGKILL
    assert [path.name for path in folder.iterdir()] == ["a"]
    whole = run(0)
    assert (whole.returncode, whole.stderr.strip()) == (0, "3")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (Said(0, "", ""), None),
        (Said(7, "", "duet-device: no vault\n"), None),
        (Said(7, "", "Traceback (most recent call last):\nE\n"), "a traceback: E"),
        (Said(7, "", ""), "exit code 7 with 0 lines"),
        (Said(1, "", "a\nb /tmp/x 127.0.0.1:40151\n"), "exit code 1: b ... ..."),
        (Said(-9, "", ""), "exit code -9: nothing said"),
    ],
)
def test_a_command_ends_with_a_code_and_a_line(said: Said, wrong: str | None) -> None:
    trials = Trials()
    with trials.trial():
        said.check(0, 7)
    assert dict(trials.otherwise) == ({wrong: 1} if wrong else {})
    assert trials.held == (wrong is None)


def _row(name: str, setting: list[Setting] | None = None) -> Row:
    def run(given: Setting, trials: Trials) -> None:
        if setting is not None:
            setting.append(given)
        if name == "absent":
            raise NotRun("no disk")
        for number in range(given.count(10, 3)):
            with trials.trial():
                if number == 0:
                    raise Unheld("a | b")
                if number == 1:
                    raise Void
        trials.figures["longest, s"] = 1.23456

    return Row(name, "breaks", "stays whole", run, "engine")


def test_rows_are_run_counted_written_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(tmp_path / "pair")
    settings: list[Setting] = []
    rows = (_row("first", settings), _row("absent"))
    monkeypatch.setattr(matrix, "ROWS", rows)
    out = tmp_path / "out.json"
    arguments = ["--pair", str(tmp_path / "pair"), "--out", str(out)]
    assert bench_faults([*arguments, "--quick"]) == 1
    assert not settings[0].scratch.exists()
    found = FaultMatrix.read(out)
    first, absent = found.rows
    assert (first.trials, first.held, first.otherwise) == (2, 1, {"a | b": 1})
    assert (first.engine, first.quick) == ("scripted", True)
    assert (absent.trials, absent.not_run) == (0, "no disk")
    # A row that is run again takes the place of the earlier one, the others stay.
    assert bench_faults([*arguments, "--rows", "first"]) == 1
    first, absent = FaultMatrix.read(out).rows
    assert (first.trials, first.engine, absent.not_run) == (9, "vLLM", "no disk")
    assert str(tmp_path) not in out.read_text()


def test_no_one_gets_the_port_of_a_service_by_chance() -> None:
    """While a service is down, other programs get ports from the system."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < free_port() < first for _ in range(20))


def test_an_overload_without_refusals_or_answers_does_not_hold() -> None:
    trials = Trials()
    even = overload.Seen(admitted=[1.0] * 9)
    figures = overload.judged(even, overload.Seen([1.2] * 99 + [9.0], [0.01] * 50), trials)
    assert trials.held == 2
    assert figures["refused p99, ms"] == pytest.approx(10)
    assert figures["admitted p99 ratio"] == pytest.approx(1.278)
    assert overload.judged(even, overload.Seen(), trials) == {"admitted": 0, "refused": 0}
    assert set(trials.otherwise) == {"no call is admitted", "no call is refused"}


def test_table() -> None:
    machine = Machine(
        cpu="A Processor", cores=2, memory_gib=23.4, system="Linux", python="3.11", versions={}
    )
    result = FaultResult(
        name="cut", fault="a cut", expected="an answer", engine="scripted", trials=1200, held=1199,
        otherwise={"a | b": 1}, figures={"longest, s": 1.23456}, seconds=3.0, quick=True,
        date="2026-01-02", commit=None,
    )  # fmt: skip
    table = fault_table(FaultMatrix(machine=machine, pair="a@1.0.0", rows=(result,)))
    assert table.splitlines()[2] == (
        "| cut | a cut | an answer | 1,200 | 1,199 | 1 a \\| b | longest, s 1.235 |"
    )
    assert "Rows of the short version: cut." in table


def test_a_row_that_is_not_there_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_faults(["--rows", "nonsense"]) == UsageProblem.exit_code
    assert capsys.readouterr().err.count("\n") == 1
    assert bench_faults(["--list", "--rows", "history"]) == 0
    assert "power cut in history writes" in capsys.readouterr().out


def test_committed_results_are_of_rows_that_there_are() -> None:
    results = Path(matrix.__file__).parents[1] / "results" / "faults.json"
    names = [row["name"] for row in json.loads(results.read_text())["rows"]]
    assert set(names) <= {row.name for row in matrix.ROWS}


def test_signals_of_the_whole_budget_have_no_control_token(tmp_path: Path) -> None:
    tokenizer, _ = vocabularies.build("qwen", tmp_path)
    config = SimpleNamespace(model_config=SimpleNamespace(model=str(tmp_path)))
    controls = [
        tokenizer.encode_template(token)[0]
        for token in (*vocabularies.SPECIAL, *vocabularies.ADDED)
    ]
    logits = torch.zeros(2, 700)
    logits[:, controls] = 9.0
    chosen = NoControlTokens(config, torch.device("cpu"), False).apply(logits)
    assert torch.isinf(chosen).sum() == 2 * len(controls)
    assert not set(chosen.argmax(1).tolist()) & set(controls)
    module, name = _NO_END.split(":")
    assert getattr(importlib.import_module(module), name) is NoControlTokens
