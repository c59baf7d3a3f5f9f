"""The large model alone, over a scripted completions server."""

import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from duet_contract.manifest import Manifest
from duet_device.errors import CloudBusy, CloudRefused, CloudUnreachable, Interrupted
from duet_tools.link.emulator import LinkEmulator
from duet_tools.link.profiles import Direction, LinkProfile
from duet_tools.results.questions import QuestionRow
from duet_tools.results.record import Record, failed
from duet_tools.split.endpoint import Endpoint
from duet_tools.split.modes.base import ModeSettings
from duet_tools.split.modes.large import LargeAlone, Truncated, answers_in_reasoning
from duet_tools.split.modes.openai import tell_link_from_cloud
from tests.doubles.service import ScriptedCompletions

QUESTION = QuestionRow("1", "What?", "7")
# Its questions go to the near end of a link to it.
SERVER = (Endpoint("gpu-host:8000"), "reasoner")


@pytest.fixture
def workload(manifest: Manifest, tmp_path: Path) -> Any:
    """The pair without its models; a token a word."""
    tokenizer = SimpleNamespace(encode_text=str.split)
    return SimpleNamespace(
        manifest=manifest,
        model=tmp_path,
        tokenizer=tokenizer,
        stop_id=99,
        prompt_text=lambda text: f"Q:{text}",
    )


@pytest.fixture
def thinking(workload: Any) -> Any:
    """A pair whose reasoning ends before its answer."""
    manifest = workload.manifest
    reasoner = manifest.reasoner.model_copy(update={"end_of_reasoning": "</think>"})
    workload.manifest = manifest.model_copy(update={"reasoner": reasoner})
    return workload


def ask(mode: LargeAlone | Truncated, address: str, index: int = 0) -> Record:
    asked = mode.ask(QUESTION, index, address, threading.Event())
    if asked.later:
        asked.later()
    return asked.record


def asking(workload: Any) -> ModeSettings:
    return ModeSettings(workload.manifest, 20, 0.5, 10, 60.0, 5.0, 1)


def test_the_whole_answer_is_the_large_models(
    workload: Any, completions: ScriptedCompletions
) -> None:
    record = ask(LargeAlone(asking(workload), workload, SERVER), completions.address, 3)
    assert (record.answer, record.finish) == ("I think it is 7", "end")
    # The end token is not part of the answer.
    assert (record.large_tokens, record.answer_tokens, record.signal_tokens) == (5, 5, 0)
    assert record.flops == 2 * 1000 * 5
    assert record.connect_ms is not None
    assert record.first_answer_ms is not None
    assert record.total_ms is not None
    assert 0 < record.connect_ms <= record.first_answer_ms <= record.total_ms
    assert record.app_down > 5 * 30
    body = completions.bodies[0]
    assert (body["prompt"], body["max_tokens"], body["seed"]) == ("Q:What?", 20, 13)
    assert (body["temperature"], body["skip_special_tokens"]) == (0.5, False)


TIMES = {"queue_time_ms": 3.0, "time_to_first_token_ms": 20.0, "generation_time_ms": 180.0}


def test_the_clouds_seconds_are_by_its_own_clock(
    workload: Any, completions: ScriptedCompletions
) -> None:
    completions.metrics = TIMES
    record = ask(LargeAlone(asking(workload), workload, SERVER), completions.address)
    assert (record.queue_ms, record.prefill_ms, record.decode_ms) == (3.0, 20.0, 180.0)
    assert record.cloud_s == pytest.approx(0.2)
    twice = ask(Truncated(asking(workload), workload, SERVER, 2), completions.address)
    assert (twice.queue_ms, twice.cloud_s) == (6.0, pytest.approx(0.4))


@pytest.mark.parametrize("tells", [True, False])
def test_the_links_time_is_no_time_of_the_cloud(
    workload: Any, completions: ScriptedCompletions, tells: bool
) -> None:
    completions.says = lambda prompt: time.sleep(0.2) or "I think it is 7"
    completions.metrics = TIMES if tells else None
    # The request takes some 90 ms up, in addition to two round trips of 300 ms.
    link = LinkProfile("slow", Direction(32e3, 150.0), Direction(None, 150.0), "")
    mode = LargeAlone(asking(workload), workload, SERVER)
    with LinkEmulator(completions.address, link) as way:
        asked = mode.ask(QUESTION, 0, way.address, threading.Event())
        asked.record.wire_up = way.count.up
    assert asked.later
    asked.later()
    tell_link_from_cloud(asked.record, link, asked.requests)
    assert asked.record.total_ms is not None
    assert asked.record.total_ms > 850
    assert asked.record.cloud_s is not None
    if tells:
        assert asked.record.cloud_s == pytest.approx(0.2)
    # No more is taken off than the link took, and no less: a busy machine only adds to the rest.
    assert 0.19 <= asked.record.cloud_s <= asked.record.total_ms / 1e3 - 0.65
    # An emulated link connects at once; its round trip is reported all the same.
    assert asked.record.connect_ms is not None
    assert asked.record.connect_ms >= 300


def test_a_second_request_takes_another_round_trip() -> None:
    link = LinkProfile("slow", Direction(None, 150.0), Direction(None, 150.0), "")
    record = Record(connect_ms=2.0, total_ms=1202.0, large_tokens=5)
    tell_link_from_cloud(record, link, requests=2)
    assert (record.cloud_s, record.connect_ms) == (pytest.approx(0.3), 302.0)


def test_a_kept_connection_takes_no_round_trip() -> None:
    link = LinkProfile("slow", Direction(None, 150.0), Direction(None, 150.0), "")
    record = Record(total_ms=900.0, large_tokens=3)
    tell_link_from_cloud(record, link, requests=1)
    assert record.cloud_s == pytest.approx(0.6)
    assert record.connect_ms is None


def test_reasoning_and_answer_are_told_apart(
    thinking: Any, completions: ScriptedCompletions
) -> None:
    assert not answers_in_reasoning(thinking)
    completions.says = lambda prompt: "so much to think </think> It is 7"
    record = ask(LargeAlone(asking(thinking), thinking, SERVER), completions.address)
    assert record.answer == "It is 7"
    assert (record.large_tokens, record.signal_tokens, record.answer_tokens) == (8, 5, 3)
    moments = [record.first_signal_ms, record.signal_ms, record.first_answer_ms, record.total_ms]
    assert moments == sorted(moments)  # type: ignore[type-var]


def test_reasoning_ends_with_the_turn_where_the_model_says_so(
    thinking: Any, completions: ScriptedCompletions
) -> None:
    (thinking.model / "generation_config.json").write_text('{"eos_token_id": [2, 99]}')
    completions.says = lambda prompt: "40-24 = 16 #### 16"
    record = ask(LargeAlone(asking(thinking), thinking, SERVER), completions.address)
    assert (record.answer, record.signal) == ("40-24 = 16 #### 16", "")


def test_reasoning_that_never_ends_gives_no_answer(
    thinking: Any, completions: ScriptedCompletions
) -> None:
    completions.says, completions.finish = (lambda prompt: "on and on " * 20), "length"
    record = ask(LargeAlone(asking(thinking), thinking, SERVER), completions.address)
    assert (record.answer, record.finish) == ("", "limit")
    assert (record.large_tokens, record.answer_tokens) == (20, 0)
    assert record.first_answer_ms is None
    assert record.total_ms is not None


def test_truncated_answers_behind_what_was_cut(
    workload: Any, completions: ScriptedCompletions
) -> None:
    completions.finish = "length"
    completions.says = lambda prompt: "it is 7" if prompt.endswith(" A:") else "one two three"
    record = ask(Truncated(asking(workload), workload, SERVER, 2), completions.address)
    cut, answer = completions.bodies
    assert (cut["max_tokens"], cut["stop_token_ids"]) == (2, [99])
    assert answer["prompt"] == "Q:What?one two A:"
    assert (record.answer, record.finish) == ("it is 7", "limit+budget")
    assert (record.signal_tokens, record.answer_tokens, record.large_tokens) == (2, 3, 5)
    moments = [record.first_signal_ms, record.signal_ms, record.first_answer_ms, record.total_ms]
    assert moments == sorted(moments)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("status", "error"), [(429, CloudBusy), (503, CloudBusy), (400, CloudRefused)]
)
def test_refusals_are_told_apart(
    workload: Any, completions: ScriptedCompletions, status: int, error: type[Exception]
) -> None:
    completions.status = status
    with pytest.raises(error, match="the server refused"):
        ask(LargeAlone(asking(workload), workload, SERVER), completions.address)


def test_nobody_there_is_unreachable(workload: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(CloudUnreachable) as caught:
        ask(LargeAlone(asking(workload), workload, SERVER), address)
    assert failed(caught.value).status == "unreachable"


def test_a_run_that_ends_ends_the_question(workload: Any, completions: ScriptedCompletions) -> None:
    stop = threading.Event()
    stop.set()
    mode = LargeAlone(asking(workload), workload, SERVER)
    with pytest.raises(Interrupted):
        mode.ask(QUESTION, 0, completions.address, stop)
