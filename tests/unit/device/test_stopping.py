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
from duet_device import answering
from duet_device.answering import answer
from duet_device.errors import DeadlineExceeded, ExitCode, Interrupted, UsageProblem
from duet_device.identity.channel import open_channel
from duet_device.pairs.pair import Pair
from duet_device.settings import MOST_TIMEOUT, Settings
from tests.doubles.asking import QUESTION
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


def test_deadline_ends_device_and_cloud(pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(hangs) as cloud:
        began = time.perf_counter()
        with pytest.raises(DeadlineExceeded) as caught:
            answer(
                QUESTION,
                pair,
                Settings(server=cloud.address, timeout=0.3),
                decoder=decoder,  # type: ignore[arg-type]
            )
        assert time.perf_counter() - began < 1
        assert cloud.ended.wait(2)
    assert caught.value.exit_code == ExitCode.DEADLINE


def test_deadline_already_passed_sends_nothing(pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(hangs) as cloud:
        with pytest.raises(DeadlineExceeded):
            answer(
                QUESTION,
                pair,
                Settings(server=cloud.address, timeout=1),
                decoder=decoder,  # type: ignore[arg-type]
                started=time.perf_counter() - 2,
            )
        assert cloud.requests == []


def test_the_deadline_waits_for_the_passphrase_of_the_identity(
    pair: Pair, decoder: ScriptedDecoder, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(server: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
        clock.ahead += 3600
        return open_channel(server, credentials)

    monkeypatch.setattr(answering, "open_channel", asks)
    with ScriptedCloud(says(done(0))) as cloud:
        receipt = answer(
            QUESTION,
            pair,
            Settings(server=cloud.address),
            decoder=decoder,  # type: ignore[arg-type]
        ).receipt
    assert receipt.source == "duet"
    assert receipt.ms.total > 3600e3


@pytest.mark.parametrize("seconds", [1e10, math.inf, math.nan])
@pytest.mark.parametrize("name", ["timeout", "connect_timeout"])
def test_timeouts_out_of_range_are_refused(
    name: str, seconds: float, pair: Pair, decoder: ScriptedDecoder
) -> None:
    settings = Settings(**{name: seconds})  # type: ignore[arg-type]
    option = "--" + name.replace("_", "-")
    with pytest.raises(UsageProblem, match=f"{option} is .*: give seconds, more than 0"):
        answer(QUESTION, pair, settings, decoder=decoder)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["timeout", "connect_timeout"])
def test_the_longest_timeouts_are_possible(name: str, pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(says(done(0))) as cloud:
        settings = Settings(server=cloud.address, **{name: MOST_TIMEOUT})  # type: ignore[arg-type]
        outcome = answer(QUESTION, pair, settings, decoder=decoder)  # type: ignore[arg-type]
    assert outcome.receipt.source == "duet"


def test_stop_ends_device_and_cloud(pair: Pair, decoder: ScriptedDecoder) -> None:
    stop = threading.Event()
    with ScriptedCloud(hangs) as cloud:
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(Interrupted):
            answer(
                QUESTION,
                pair,
                Settings(server=cloud.address),
                decoder=decoder,  # type: ignore[arg-type]
                stop=stop,
            )
        assert cloud.ended.wait(2)


def test_deadline_stops_an_endless_answer(pair: Pair) -> None:
    def slow(_: object) -> int:
        time.sleep(0.02)
        return 65

    with pytest.raises(DeadlineExceeded):
        answer(
            QUESTION,
            pair,
            Settings(device_only=True, timeout=0.2),
            decoder=ScriptedDecoder(slow),  # type: ignore[arg-type]
        )


def test_answer_limit_shows_in_finish(pair: Pair) -> None:
    outcome = answer(
        QUESTION,
        pair,
        Settings(device_only=True),
        decoder=ScriptedDecoder(lambda _: 65),  # type: ignore[arg-type]
    )
    assert outcome.receipt.finish == "limit"
    assert outcome.receipt.answer == "A" * pair.manifest.defaults.answer
