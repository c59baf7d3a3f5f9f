"""Long texts are tokenized in threads, so that the event loop serves others meanwhile."""

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from duet_cloud import inference
from duet_cloud.long_texts import LongTexts
from duet_cloud.status import Refusal
from duet_contract.v1.control_pb2 import GetCapacityRequest
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.vocabulary import Tokenizer
from tests.doubles.unread import until

LONG = ReasonRequest(question="a long question")
SHORT = ReasonRequest(question="short?")


class HeldTokenizer:
    """Tokenizes a long question once it may."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.may = threading.Event()
        self.at = 0

    def encode_template(self, text: str) -> list[int]:
        return self._tokenizer.encode_template(text)

    def encode_text(self, text: str) -> list[int]:
        if text in LONG.question:
            self.at += 1
            assert self.may.wait(60)
        return self._tokenizer.encode_text(text)


@pytest.fixture
def held(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldTokenizer]:
    monkeypatch.setattr(inference, "LONG", len(LONG.question))
    route = cloud.server.routes.default
    tokenizer = HeldTokenizer(route.pair.tokenizer)
    route.pair = dataclasses.replace(route.pair, tokenizer=tokenizer)
    yield tokenizer
    tokenizer.may.set()


@pytest.mark.parametrize("field", ["question", "signal_prefix"])
async def test_others_are_served_while_a_long_text_is_tokenized(
    cloud: Any, held: HeldTokenizer, field: str
) -> None:
    request = ReasonRequest(question="short?", budget=40)
    if field == "question":
        request.question = LONG.question
    else:
        request.signal_prefix.text = LONG.question
    long = cloud.inference.Reason(request, timeout=60)
    reading = asyncio.ensure_future(anext(aiter(long)))
    await until(lambda: held.at == 1)
    await cloud.control.GetCapacity(GetCapacityRequest(), timeout=60)
    assert [one async for one in cloud.inference.Reason(SHORT, timeout=60)]
    assert not reading.done()
    held.may.set()
    assert (await reading).HasField("chunk")
    long.cancel()


async def test_an_engine_that_fails_meanwhile_refuses_the_question(
    cloud: Any, held: HeldTokenizer
) -> None:
    reading = asyncio.ensure_future(anext(aiter(cloud.inference.Reason(LONG, timeout=60))))
    await until(lambda: held.at == 1)
    await cloud.server.close_engine(cloud.server.routes.default)
    held.may.set()
    with pytest.raises(Exception, match="loading its model"):
        await reading


async def test_a_device_gets_one_thread_and_waits_within_a_bound() -> None:
    texts, may = LongTexts(), threading.Event()
    began: list[str] = []

    def work(name: str) -> str:
        began.append(name)
        assert may.wait(60)
        return name

    async def ask(identity: str) -> str:
        return await texts.run(identity, 2, lambda: work(identity))

    one = [asyncio.create_task(ask("one")) for _ in range(2)]
    await until(lambda: began == ["one"])
    with pytest.raises(Refusal, match="2 long questions of this device wait"):
        await ask("one")
    other = asyncio.create_task(ask("other"))
    await until(lambda: began == ["one", "other"])
    # Who leaves while waiting makes room.
    one[1].cancel()
    await asyncio.wait(one[1:])
    third = asyncio.create_task(ask("one"))
    await asyncio.sleep(0)
    may.set()
    assert [await each for each in (one[0], other, third)] == ["one", "other", "one"]
    assert not texts._texts
