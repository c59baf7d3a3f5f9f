"""When a question stops: deadline, interrupt, the answer's limit."""

import math
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from duet_contract.v1.inference_pb2 import (
    ReasonRequest,
    ReasonResponse,
)
from duet_device import known_servers
from duet_device.deadline import Deadline
from duet_device.errors import DeadlineExceeded, ExitCode, Interrupted, UsageProblem
from duet_device.pairs.pair import Pair
from duet_device.setting_types import MOST_TIMEOUT
from tests.doubles.asking import answer
from tests.doubles.clock import SteppedClock
from tests.doubles.cloud import (
    ScriptedCloud,
    done,
    says,
    tokens,
)
from tests.doubles.decoder import ScriptedDecoder


def hangs(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    yield tokens(65)
    while context.is_active():
        time.sleep(0.01)


def test_deadline_ends_device_and_cloud(
    pair: Pair, decoder: ScriptedDecoder, clock: SteppedClock
) -> None:
    def passes(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        clock.ahead = 100
        yield from hangs(request, context)

    with ScriptedCloud(passes) as cloud:
        with pytest.raises(DeadlineExceeded) as caught:
            answer(pair, decoder, server=cloud.address, timeout=99, require_cloud=True)
        assert cloud.ended.wait(60)
    assert caught.value.exit_code == ExitCode.DEADLINE


def test_deadline_already_passed_sends_nothing(pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(hangs) as cloud:
        deadline = Deadline(1, time.perf_counter() - 2)
        with pytest.raises(DeadlineExceeded):
            answer(pair, decoder, server=cloud.address, deadline=deadline)
        assert cloud.requests == []


def test_the_deadline_waits_for_the_passphrase_of_the_identity(
    pair: Pair, decoder: ScriptedDecoder, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(_: str) -> None:
        clock.ahead += 3600

    monkeypatch.setattr(known_servers, "identity_for", asks)
    with ScriptedCloud(says(done(0))) as cloud:
        receipt = answer(pair, decoder, server=cloud.address).receipt
    assert receipt.source == "duet"
    assert receipt.ms.total < 3600e3


@pytest.mark.parametrize("seconds", [1e10, math.inf, math.nan])
@pytest.mark.parametrize("name", ["timeout", "connect_timeout"])
def test_timeouts_out_of_range_are_refused(
    name: str, seconds: float, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with pytest.raises(UsageProblem, match=f"{name} is .*: give seconds, more than 0"):
        answer(pair, decoder, **{name: seconds})


@pytest.mark.parametrize("name", ["timeout", "connect_timeout"])
def test_the_longest_timeouts_are_possible(name: str, pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(says(done(0))) as cloud:
        outcome = answer(pair, decoder, server=cloud.address, **{name: MOST_TIMEOUT})
    assert outcome.receipt.source == "duet"


def test_stop_ends_device_and_cloud(pair: Pair, decoder: ScriptedDecoder) -> None:
    stop = threading.Event()

    def stops(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        stop.set()
        yield from hangs(request, context)

    with ScriptedCloud(stops) as cloud:
        with pytest.raises(Interrupted):
            answer(pair, decoder, server=cloud.address, deadline=Deadline(60, None, stop))
        assert cloud.ended.wait(60)


def test_deadline_stops_an_endless_answer(pair: Pair) -> None:
    def slow(_: object) -> int:
        time.sleep(0.02)
        return 65

    with pytest.raises(DeadlineExceeded):
        answer(pair, ScriptedDecoder(slow), device_only=True, timeout=0.2)


def test_answer_limit_shows_in_finish(pair: Pair) -> None:
    outcome = answer(pair, ScriptedDecoder(lambda _: 65), device_only=True)
    assert outcome.receipt.finish == "limit"
    assert outcome.receipt.answer == "A" * pair.manifest.defaults.answer
