"""`duet-device ask --in`, and the client's questions in order."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device import AnswerText, Client, DeviceError, Result, UsageProblem, rows_file
from duet_device.cli import main
from duet_device.commands import batch
from duet_device.errors import ExitCode
from duet_device.pairs.pair import Pair
from tests.doubles.cloud import Script, ScriptedCloud, abort, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder

BECAUSE = says(tokens(*b"be"), tokens(*b"cause"), done(7))


def refuses(wrong: str) -> Script:
    """Answers every question but `wrong`, which is refused."""

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if request.question == wrong:
            abort(context, grpc.StatusCode.PERMISSION_DENIED, "not this one")
        yield from BECAUSE(request, context)

    return script


def write(path: Path, *questions: Any) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in questions))
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(questions: Path, answers: Path, *options: str) -> int:
    return main(["ask", "--in", str(questions), "--out", str(answers), *options])


def test_signals_of_the_next_questions_arrive_while_the_decoder_answers(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    """The first signal ends only when the third question is there."""
    seen = threading.Semaphore(0)
    enough = threading.Event()

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        seen.release()
        if len(cloud.requests) == 3:
            enough.set()
        assert enough.wait(60)
        yield from BECAUSE(request, context)

    order: list[int] = []
    with ScriptedCloud(script) as cloud:
        with Client(pair, decoder=decoder, server=cloud.address) as asking:  # type: ignore[arg-type]
            for number, event in asking.stream_all(["a?", "b?", "c?", "d?"], in_flight=3):
                if isinstance(event, AnswerText) and not order:
                    assert len(cloud.requests) == 3
                if isinstance(event, Result):
                    order.append(number)
                    assert event.receipt.source == "duet"
        assert order == [0, 1, 2, 3]
        assert [each.question for each in cloud.requests][3:] == ["d?"]


def test_a_question_that_fails_ends_no_other(pair: Pair, decoder: ScriptedDecoder) -> None:
    questions = ["a?", "wrong", "x" * 10_000, UsageProblem("no question"), "b?"]
    with (
        ScriptedCloud(refuses("wrong")) as cloud,
        Client(pair, decoder=decoder, server=cloud.address) as asking,  # type: ignore[arg-type]
    ):
        ends = [
            (number, type(event).__name__)
            for number, event in asking.stream_all(questions, require_cloud=True)
            if isinstance(event, Result | DeviceError)
        ]
        # The connection of the one that was refused was used by others.
        assert asking.ask("c?").receipt.source == "duet"
    names = ["Result", "CloudRefused", "UsageProblem", "UsageProblem", "Result"]
    assert ends == list(enumerate(names))


def test_leaving_early_cancels_what_is_in_flight(pair: Pair, decoder: ScriptedDecoder) -> None:
    there, over = threading.Event(), threading.Event()

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if request.question == "b?":
            there.set()
            while context.is_active():
                time.sleep(0.01)
            over.set()
        yield from BECAUSE(request, context)

    with (
        ScriptedCloud(script) as cloud,
        Client(pair, decoder=decoder, server=cloud.address) as asking,  # type: ignore[arg-type]
    ):
        for _, event in asking.stream_all(["a?", "b?"]):
            if isinstance(event, Result):
                assert there.wait(60)
                break
        assert asking.ask("c?").answer == "häppy 🙂"
        assert over.wait(60)


def test_a_client_answers_one_batch_or_question_at_a_time(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    with Client(pair, decoder=decoder, device_only=True) as asking:  # type: ignore[arg-type]
        stream = asking.stream_all(["a?", "b?"])
        next(stream)
        with pytest.raises(UsageProblem, match="still answering"):
            asking.ask("c?")
        with pytest.raises(UsageProblem, match="in_flight"):
            asking.stream_all([], in_flight=0)


def test_rows_in_order_by_id_or_line(cloud: ScriptedCloud, tmp_path: Path) -> None:
    questions = write(tmp_path / "q", {"id": "x", "question": "a?"}, "b?", {"question": "c?"})
    assert run(questions, tmp_path / "a") == ExitCode.OK
    found = rows(tmp_path / "a")
    assert [(row["id"], row["question"]) for row in found] == [
        ("x", "a?"),
        ("2", "b?"),
        ("3", "c?"),
    ]
    assert {row["answer"] for row in found} == {"häppy 🙂"}
    assert found[0]["tokens"]["signal"] == 7
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


def test_what_is_answered_is_kept_and_what_failed_is_asked_again(
    cloud: ScriptedCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = write(tmp_path / "q", "a?", "wrong", "c?")
    cloud.script = refuses("wrong")
    assert run(questions, tmp_path / "a", "--require-cloud") == ExitCode.INCOMPLETE
    assert "1 of 3 questions failed" in capsys.readouterr().err
    assert rows(tmp_path / "a")[1]["error"]["exit_code"] == ExitCode.REFUSED
    first = (tmp_path / "a").read_text().splitlines()[0]
    cloud.script = BECAUSE
    cloud.requests.clear()
    # As a killed run leaves it: a row that was not finished.
    with (tmp_path / "a").open("a") as file:
        file.write('{"id": "4", "que')
    assert run(questions, tmp_path / "a") == ExitCode.OK
    assert [each.question for each in cloud.requests] == ["wrong"]
    assert [row["id"] for row in rows(tmp_path / "a")] == ["1", "2", "3"]
    assert (tmp_path / "a").read_text().splitlines()[0] == first
    # Another question of the same line is another question.
    assert run(write(tmp_path / "q", "a?", "wrong", "new?"), tmp_path / "a") == ExitCode.OK
    assert [each.question for each in cloud.requests] == ["wrong", "new?"]


def test_without_out_rows_go_to_stdout(
    cloud: ScriptedCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "--in", str(write(tmp_path / "q", "a?", ""))]) == ExitCode.INCOMPLETE
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ["error" in row for row in found] == [False, True]


def test_redaction_is_of_each_question(cloud: ScriptedCloud, tmp_path: Path) -> None:
    questions = write(tmp_path / "q", "ask Anna Berg", "ask Otto Kant and then Otto!")
    assert run(questions, tmp_path / "a", "--redact") == ExitCode.OK
    # Both are sent at once; which one arrives first is chance.
    assert {each.question for each in cloud.requests} == {
        "ask [NAME_1]",
        "ask [NAME_1] and then [NAME_1]!",
    }


def test_a_batch_stops_when_all_fail_alike(
    cloud: ScriptedCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.script = lambda request, context: abort(
        context, grpc.StatusCode.PERMISSION_DENIED, "revoked"
    )  # type: ignore[assignment, return-value]
    questions = write(tmp_path / "q", *map(str, range(50)))
    assert run(questions, tmp_path / "a", "--require-cloud") == ExitCode.REFUSED
    assert len(rows(tmp_path / "a")) == batch._MOST_FAILURES
    assert "in a row" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{}", "line 1: give"),
        ('{"question": 3}', "line 1: give"),
        ("why?", "line 1: give"),
        ("[" * 100_000, "line 1: give"),
        ('{"id": [], "question": "a"}', "line 1: give"),
        ('{"id": "2", "question": "a"}\n"b"', "line 2: the id 2 was given before"),
        ("\n\n", "holds no questions"),
        ("\xff", "not UTF-8"),
    ],
)
def test_a_line_that_is_no_question(
    installed: Path, tmp_path: Path, line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q").write_bytes(line.encode("latin-1"))
    assert run(tmp_path / "q", tmp_path / "a") == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_files_that_cannot_be_used(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = write(tmp_path / "q", "a?")
    assert run(tmp_path / "none", tmp_path / "a") == ExitCode.USAGE
    assert run(questions, tmp_path) == ExitCode.USAGE
    assert run(questions, questions) == ExitCode.USAGE
    assert run(questions, write(tmp_path / "other", "no row")) == ExitCode.USAGE
    (tmp_path / "deep").write_text("[" * 100_000 + "\n")
    assert run(questions, tmp_path / "deep") == ExitCode.USAGE
    assert main(["ask", "why?", "--in", str(questions)]) == ExitCode.USAGE
    # The answer would be on stdout, and no file.
    assert main(["ask", "why?", "--out", str(tmp_path / "b")]) == ExitCode.USAGE
    assert not (tmp_path / "b").exists()
    with rows_file.locked(tmp_path / "a"):
        assert run(questions, tmp_path / "a") == ExitCode.USAGE
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 8
    assert (tmp_path / "other").read_text() == '"no row"\n'


@pytest.mark.parametrize("content", [b"one line", b'"why?"', b'{"name": 1}', b'{"id": 4}'])
def test_a_file_of_something_else_stays_as_it_is(
    content: bytes, installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though its last line has no end, as that of a killed run."""
    other = tmp_path / "other"
    other.write_bytes(content)
    assert run(write(tmp_path / "q", "a?"), other) == ExitCode.USAGE
    assert "give another file" in capsys.readouterr().err
    assert other.read_bytes().rstrip(b"\n") == content


def test_questions_are_no_answers(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = write(tmp_path / "q", {"id": "1", "question": "a?"})
    copy = write(tmp_path / "copy", {"id": "1", "question": "a?"})
    (tmp_path / "linked").hardlink_to(questions)
    for answers, said in (
        (tmp_path / "linked", "the same file"),
        (copy, "without an answer, of id 1"),
    ):
        assert run(questions, answers) == ExitCode.USAGE
        assert said in capsys.readouterr().err


def test_a_row_without_its_line_end_is_kept(cloud: ScriptedCloud, tmp_path: Path) -> None:
    questions = write(tmp_path / "q", "a?", "b?")
    (tmp_path / "a").write_text('{"id": "2", "question": "b?", "answer": "kept"}')
    assert run(questions, tmp_path / "a") == ExitCode.OK
    assert [row["answer"] for row in rows(tmp_path / "a")] == ["häppy 🙂", "kept"]


def test_answers_behind_a_link_are_written_there(cloud: ScriptedCloud, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "real")
    (tmp_path / "real").write_text('{"id": "9", "question": "z?", "answer": "z"}\n')
    assert run(write(tmp_path / "q", "a?"), tmp_path / "a") == ExitCode.OK
    assert (tmp_path / "a").is_symlink()
    assert [row["id"] for row in rows(tmp_path / "real")] == ["1", "9"]


def test_answers_that_cannot_be_written_are_one_line(
    cloud: ScriptedCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = write(tmp_path / "q", "a?", "b?")
    os.mkfifo(tmp_path / "pipe")
    for answers, code, said in (
        (tmp_path / "pipe", ExitCode.USAGE, "is a pipe or a terminal"),
        (Path("/dev/full"), ExitCode.OUTPUT, "No space left on device"),
    ):
        assert run(questions, answers) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(), max_size=8),
)
def test_no_row_is_lost_by_sorting(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], answers: dict[str, int]
) -> None:
    path = tmp_path_factory.mktemp("sorted") / "a"
    there = {id_: {"id": id_, "answer": answer} for id_, answer in answers.items()}
    path.touch()
    rows_file.sort(path, there, order)
    ids = [row["id"] for row in rows(path)]
    assert sorted(ids) == sorted(answers)
    assert [id_ for id_ in ids if id_ in order] == [id_ for id_ in order if id_ in answers]
