"""One question to a client, answered by a decoder without a model."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from duet_device import session
from duet_device.client import Client
from duet_device.deadline import Deadline
from duet_device.events import Event, Note, Result, Sent
from duet_device.pairs.pair import Pair
from duet_device.question import Question
from tests.doubles.cloud import Script, ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder

QUESTION = "why?"


def answer(
    pair: Pair,
    decoder: ScriptedDecoder,
    events: list[Event] | None = None,
    *,
    question: str | Question = QUESTION,
    deadline: Deadline | None = None,
    **options: Any,
) -> Result:
    """The result of a client with `options`; `events` gets all that happens, failed or not."""
    events = [] if events is None else events
    with Client(pair, decoder=decoder, **options) as client:  # type: ignore[arg-type]
        for event in client.stream(question, deadline=deadline):
            events.append(event)
    (result,) = (event for event in events if isinstance(event, Result))
    return result


def ask(
    script: Script,
    pair: Pair,
    decoder: ScriptedDecoder,
    events: list[Event] | None = None,
    **options: Any,
) -> tuple[Result, ScriptedCloud]:
    """The result with a scripted cloud, and the cloud with what it was asked."""
    with ScriptedCloud(script) as cloud:
        result = answer(pair, decoder, events, server=cloud.address, **options)
    return result, cloud


@contextmanager
def default_cloud(
    decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedCloud]:
    """A cloud that is the default server, and a decoder in place of the model."""
    monkeypatch.setattr(session, "load_decoder", lambda pair, threads: decoder)
    with ScriptedCloud(says(tokens(*b"be"), tokens(*b"cause"), done(7))) as cloud:
        monkeypatch.setenv("DUET_SERVER", cloud.address)
        yield cloud


def texts(events: list[Event], kind: type[Event]) -> list[str]:
    """The texts of the events of a kind."""
    return [event.text for event in events if isinstance(event, kind)]


def notes(events: list[Event]) -> list[str]:
    """The lines that the user should know."""
    return texts(events, Note)


def sent(events: list[Event]) -> list[Any]:
    """The requests that left the device."""
    return [event.request for event in events if isinstance(event, Sent)]


def happens(condition: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.005)
    return False


def everything_has_arrived() -> bool:
    """Whether the thread that reads the stream has put its last message into the queue."""
    return all(thread.name != "duet-link" for thread in threading.enumerate())
