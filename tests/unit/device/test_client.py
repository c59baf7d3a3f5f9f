"""A client over several questions: what it keeps, frees, refuses, and how it is stopped."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, fields
from typing import Any, get_type_hints

import grpc
import pytest

from duet_contract.connections import connection_states
from duet_contract.console import signals_go_to
from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device import known_servers
from duet_device import session as session_module
from duet_device.async_client import AsyncClient
from duet_device.client import Client
from duet_device.commands.options import SETTINGS
from duet_device.deadline import Deadline
from duet_device.errors import (
    CloudUnreachable,
    DeadlineExceeded,
    Interrupted,
    ModelProblem,
    UsageProblem,
)
from duet_device.events import AnswerText, Event, Note, Result, Sent, SignalText
from duet_device.identity.channel import open_channel
from duet_device.pairs.pair import Pair
from duet_device.setting_types import ClientSettings, QuestionSettings
from duet_device.settings import Settings
from duet_device.turn_lock import TurnLock
from tests.doubles.asking import QUESTION, notes
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder, answering
from tests.doubles.tcp import NOWHERE

ANSWER = "häppy 🙂"


def hangs(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    yield tokens(65)
    while context.is_active():
        time.sleep(0.005)


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    with ScriptedCloud(says(tokens(*b"be"), tokens(*b"cause"), done(7))) as cloud:
        yield cloud


class Opened:
    """Decoders and channels that a client opened."""

    def __init__(self, follows: Callable[[Sequence[int]], int]) -> None:
        self.decoders: list[ScriptedDecoder] = []
        self.channels: list[grpc.Channel] = []
        self.follows = follows

    def decoder(self, _pair: Pair, _threads: int | None) -> ScriptedDecoder:
        self.decoders.append(ScriptedDecoder(self.follows))
        return self.decoders[-1]

    def channel(self, *arguments: Any) -> grpc.Channel:
        self.channels.append(open_channel(*arguments))
        return self.channels[-1]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    opened = Opened(answering(ANSWER, " A:"))
    monkeypatch.setattr(session_module, "load_decoder", opened.decoder)
    monkeypatch.setattr(known_servers, "open_channel", opened.channel)
    return opened


def is_closed(channel: grpc.Channel) -> bool:
    return next(connection_states(channel), None) is None


def test_questions_share_decoder_and_connection(
    cloud: ScriptedCloud, pair: Pair, opened: Opened
) -> None:
    with Client(pair, server=cloud.address, connect_timeout=60, require_cloud=True) as client:
        assert not opened.decoders
        for _ in range(3):
            assert client.ask(QUESTION).answer == ANSWER
        assert not opened.decoders[0].closed
        assert not is_closed(opened.channels[0])
    assert (len(opened.decoders), len(opened.channels), len(cloud.requests)) == (1, 1, 3)
    assert opened.decoders[0].closed
    assert is_closed(opened.channels[0])


def test_a_status_that_trails_the_signal_costs_no_connection(pair: Pair, opened: Opened) -> None:
    """The call is cancelled once the answer is there, which says nothing about the connection."""

    def lingers(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        yield tokens(65)
        yield done(1)
        while context.is_active():
            time.sleep(0.005)

    with ScriptedCloud(lingers) as cloud, Client(pair, server=cloud.address) as client:
        for _ in range(3):
            assert client.ask(QUESTION).receipt.source == "duet"
    assert len(opened.channels) == 1


def test_what_was_given_stays_open(
    cloud: ScriptedCloud, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with open_channel(cloud.address) as channel:
        for _ in range(2):
            with Client(pair, decoder=decoder, channel=channel) as client:  # type: ignore[arg-type]
                assert client.ask(QUESTION).receipt.source == "duet"
        assert not decoder.closed
        assert not is_closed(channel)


def test_events_come_in_order(cloud: ScriptedCloud, pair: Pair, decoder: ScriptedDecoder) -> None:
    with Client(pair, decoder=decoder, server=cloud.address) as client:  # type: ignore[arg-type]
        events = list(client.stream(QUESTION))
    kinds = [type(event) for event in events]
    assert kinds == [Sent, *[SignalText] * 2, *[AnswerText] * len(ANSWER), Result]
    assert events[0] == Sent(cloud.requests[0])
    result = events[-1]
    assert isinstance(result, Result)
    assert result.signal_ids == tuple(b"because")
    assert result.timings.prefix is not None
    assert result.timings.done is not None


def test_closing_twice_and_using_it_afterwards(pair: Pair, decoder: ScriptedDecoder) -> None:
    client = Client(pair, decoder=decoder, device_only=True)  # type: ignore[arg-type]
    late = client.stream(QUESTION)
    client.close()
    client.close()
    assert client.is_closed
    for use in (lambda: client.ask(QUESTION), lambda: client.stream(QUESTION), lambda: next(late)):
        with pytest.raises(UsageProblem, match=r"^this client is closed: open another Client$"):
            use()


@pytest.mark.parametrize("drops", [True, False])
def test_a_stream_that_is_dropped_or_closed_stops_the_cloud(
    drops: bool, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with (
        ScriptedCloud(hangs) as cloud,
        Client(pair, decoder=decoder, server=cloud.address) as client,  # type: ignore[arg-type]
    ):
        stream = client.stream(QUESTION)
        while not isinstance(next(stream), SignalText):
            pass
        assert not cloud.ended.is_set()
        if drops:
            del stream
        else:
            stream.close()
        assert cloud.ended.wait(60)
        cloud.script = says(done(0))
        assert client.ask(QUESTION).receipt.source == "duet"


def test_threads_take_turns(pair: Pair) -> None:
    busy = threading.Lock()

    def follows(ids: Sequence[int]) -> int:
        assert busy.acquire(blocking=False)
        time.sleep(0.001)
        busy.release()
        return answering(ANSWER, " A:")(ids)

    answers: list[str] = []
    decoder = ScriptedDecoder(follows)
    with Client(pair, decoder=decoder, device_only=True) as client:  # type: ignore[arg-type]
        threads = [
            threading.Thread(target=lambda: answers.append(client.ask(QUESTION).answer))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stream = client.stream(QUESTION)
        next(stream)
        failed: list[Exception] = []

        def impatient() -> None:
            try:
                client.ask(QUESTION, timeout=0.05)
            except DeadlineExceeded as error:
                failed.append(error)

        waiting = threading.Thread(target=impatient)
        waiting.start()
        waiting.join()
    assert answers == [ANSWER] * 4
    assert len(failed) == 1


def test_close_stops_a_question_of_another_thread(pair: Pair, opened: Opened) -> None:
    with ScriptedCloud(hangs) as cloud:
        client = Client(pair, server=cloud.address)

        def closes() -> None:
            cloud.asked.wait(60)
            client.close()

        threading.Thread(target=closes).start()
        with pytest.raises(Interrupted):
            client.ask(QUESTION)
        assert cloud.ended.wait(60)
    client.close()
    assert opened.decoders[0].closed


def test_closing_inside_a_question_ends_it(
    pair: Pair, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a signal handler may, which runs wherever the main thread is."""
    client = Client(pair, device_only=True)

    def closes(self: ScriptedDecoder) -> int:
        client.close()
        return 65

    monkeypatch.setattr(ScriptedDecoder, "most_likely", closes)
    with pytest.raises(Interrupted):
        client.ask(QUESTION)
    assert opened.decoders[0].closed


def test_closing_while_it_warms_up_ends_that(
    pair: Pair, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(pair, device_only=True)
    become = ScriptedDecoder.become

    def closes(self: ScriptedDecoder, ids: Sequence[int], check: Callable[[], None]) -> None:
        client.close()
        become(self, ids, check)

    monkeypatch.setattr(ScriptedDecoder, "become", closes)
    with pytest.raises(Interrupted):
        client.warm()
    assert opened.decoders[0].closed


def test_a_decoder_that_cannot_be_freed_blocks_no_other_thread(pair: Pair) -> None:
    def fails() -> None:
        raise ModelProblem("not now")

    lock = TurnLock(fails)
    with pytest.raises(ModelProblem), lock.taken(Deadline(5)):
        lock.close()
    with pytest.raises(ModelProblem):
        lock.close()


def test_a_signal_in_the_end_of_a_question_blocks_no_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exception may arise before the lock is released."""

    def interrupted(_: TurnLock, *, free: bool) -> None:
        raise Interrupted("interrupted")

    freed: list[None] = []
    lock = TurnLock(lambda: freed.append(None))
    stream = lock.stream(lambda: Deadline(60), lambda _: (event for event in "ab"))
    assert next(stream) == "a"
    monkeypatch.setattr(TurnLock, "_release", interrupted)
    with pytest.raises(Interrupted):
        stream.close()
    lock.close()
    assert freed


class SignalledLock:
    """A lock; a signal arrives at the moment when it is acquired."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def acquire(self, timeout: float) -> bool:
        acquired = self.lock.acquire(timeout=timeout)
        signal.raise_signal(signal.SIGTERM)
        return acquired

    def release(self) -> None:
        self.lock.release()


@pytest.mark.parametrize("closes", [False, True])
def test_a_signal_at_the_begin_of_a_turn_leaves_it_to_others(closes: bool) -> None:
    freed: list[bool] = []
    turn = TurnLock(lambda: freed.append(True))
    signalled = SignalledLock()
    turn._lock = signalled  # type: ignore[assignment]

    def interrupt(*_: object) -> None:
        raise Interrupted("interrupted")

    def takes() -> None:
        with turn.taken(Deadline(5)):
            pass

    with signals_go_to(interrupt, signal.SIGTERM), pytest.raises(Interrupted):
        (turn.close if closes else takes)()
    assert not signalled.lock.locked()
    assert bool(freed) == closes


def test_a_renewed_certificate_is_used_for_the_next_question(
    cloud: ScriptedCloud, pair: Pair, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renews(server: str, note: Callable[[str], None]) -> bool:
        note(f"renewed with {server}")
        return True

    monkeypatch.setattr(known_servers, "renew_if_due", renews)
    with Client(pair, server=cloud.address) as client:
        events = list(client.stream(QUESTION))
        assert events[-1] == Note(f"renewed with {cloud.address}")
        assert isinstance(events[-2], Result)
        client.ask(QUESTION)
    assert len(opened.channels) == 2


def test_a_decoder_that_cannot_be_loaded_stops_the_cloud(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedCloud(hangs) as cloud:

        def fails(*_: object) -> None:
            assert cloud.asked.wait(60)
            raise ModelProblem("no such file")

        monkeypatch.setattr(session_module, "load_decoder", fails)
        events: list[Event] = []
        with Client(pair, server=cloud.address) as client, pytest.raises(ModelProblem):
            events.extend(client.stream(QUESTION))
        assert cloud.ended.wait(60)


def test_settings_of_one_question(
    cloud: ScriptedCloud, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with Client(pair, decoder=decoder, server=cloud.address, budget=9) as client:  # type: ignore[arg-type]
        client.ask(QUESTION, budget=5, chunk_tokens=3)
        client.ask(QUESTION)
        assert client.ask(QUESTION, device_only=True).receipt.source == "device"
        with pytest.raises(UsageProblem, match="takes 1 to 32"):
            client.stream(QUESTION, budget=33)
    assert [request.budget for request in cloud.requests] == [5, 9]
    assert cloud.requests[0].chunk_tokens == 3
    with pytest.raises(TypeError):
        Client(pair, bugdet=5)  # type: ignore[call-arg]


def test_keyword_arguments_are_the_settings() -> None:
    types = {field.name: get_type_hints(Settings)[field.name] for field in fields(Settings)}
    assert get_type_hints(ClientSettings) == types
    only_client = {"server", "threads"}
    assert get_type_hints(QuestionSettings).keys() == types.keys() - only_client


def test_the_defaults_are_those_of_the_command() -> None:
    given = {
        option.name: option.default
        for option in SETTINGS
        if isinstance(option.default, str | int | float)
    }
    assert len(given) > 5
    assert given.items() <= asdict(Settings()).items()


async def test_tasks_take_turns_and_one_connection(
    cloud: ScriptedCloud, pair: Pair, opened: Opened
) -> None:
    async with AsyncClient(pair, server=cloud.address) as client:
        results = await asyncio.gather(*(client.ask(QUESTION) for _ in range(3)))
        events = [event async for event in client.stream(QUESTION)]
    assert [result.answer for result in results] == [ANSWER] * 3
    assert "".join(e.text for e in events if isinstance(e, AnswerText)) == ANSWER
    assert len(opened.channels) == len(opened.decoders) == 1
    assert opened.decoders[0].closed
    await client.close()
    with pytest.raises(UsageProblem, match="this client is closed"):
        await client.ask(QUESTION)


async def test_a_cancelled_task_stops_its_question_at_once(pair: Pair, opened: Opened) -> None:
    with ScriptedCloud(hangs) as cloud:
        async with AsyncClient(pair, server=cloud.address) as client:
            task = asyncio.create_task(client.ask(QUESTION))
            assert await asyncio.to_thread(cloud.asked.wait, 60)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(cloud.ended.wait, 30)
            cloud.script = says(done(0))
            assert (await client.ask(QUESTION)).receipt.source == "duet"


async def test_closing_an_asyncio_client_stops_its_question(pair: Pair, opened: Opened) -> None:
    with ScriptedCloud(hangs) as cloud:
        client = AsyncClient(pair, server=cloud.address)
        task = asyncio.create_task(client.ask(QUESTION))
        assert await asyncio.to_thread(cloud.asked.wait, 60)
        await client.close()
        with pytest.raises(Interrupted):
            await task
        assert await asyncio.to_thread(cloud.ended.wait, 60)
    assert opened.decoders[0].closed


async def test_an_asyncio_stream_that_is_left_frees_the_client(pair: Pair, opened: Opened) -> None:
    async with AsyncClient(pair, device_only=True) as client:
        async with aclosing(client.stream(QUESTION)) as events:
            async for _ in events:
                with pytest.raises(UsageProblem, match="still answering"):
                    await client.ask(QUESTION)
                break
        assert (await client.ask(QUESTION)).answer == ANSWER
        left = client.stream(QUESTION)
        await anext(left)
    # Closed with a stream in the middle, which ends as well.
    with pytest.raises(Interrupted):
        await anext(left)
    assert opened.decoders[0].closed


async def test_an_asyncio_question_waits_no_longer_than_its_time_limit(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    async with (
        AsyncClient(pair, decoder=decoder, device_only=True) as client,  # type: ignore[arg-type]
        aclosing(client.stream(QUESTION)) as events,
    ):
        await anext(events)
        with pytest.raises(DeadlineExceeded):
            await asyncio.create_task(client.ask(QUESTION, timeout=0.05))


def test_notes_of_ask_go_to_the_log(
    pair: Pair, decoder: ScriptedDecoder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "duet_device")
    with Client(pair, decoder=decoder, server=NOWHERE) as client:  # type: ignore[arg-type]
        client.ask(QUESTION)
        events: list[Event] = []
        with pytest.raises(CloudUnreachable):
            events.extend(client.stream(QUESTION, require_cloud=True))
    assert "the device answers alone" in caplog.text
    assert notes(events) == []


def test_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, duet_device; assert 'Client' in dir(duet_device); "
        "sys.exit(bool({'grpc', 'llama_cpp', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_name_of_the_package_is_there() -> None:
    import duet_device

    for name in duet_device.__all__:
        assert getattr(duet_device, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Clint'"):
        duet_device.Clint  # noqa: B018
