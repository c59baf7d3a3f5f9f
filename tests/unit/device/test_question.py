"""What cannot be asked, and what a question never becomes."""

import time
from collections.abc import Iterator

import grpc
import pytest

from duet_contract.v1.inference_pb2 import (
    ReasonRequest,
    ReasonResponse,
)
from duet_device.errors import UsageProblem
from duet_device.pairs.pair import Pair
from tests.doubles.asking import answer
from tests.doubles.cloud import (
    ScriptedCloud,
    tokens,
)
from tests.doubles.decoder import ScriptedDecoder


def hangs(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    yield tokens(65)
    while context.is_active():
        time.sleep(0.01)


@pytest.mark.parametrize("question", ["", " \n", "a\0b", "\ud800", "x" * 1_000_000])
def test_bad_question_is_refused_before_anything_is_sent(
    question: str, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with ScriptedCloud(hangs) as cloud:
        with pytest.raises(UsageProblem):
            answer(pair, decoder, question=question, server=cloud.address)
        assert cloud.requests == []
    assert decoder.ids == []


def test_question_of_too_many_tokens(pair: Pair, decoder: ScriptedDecoder) -> None:
    with pytest.raises(UsageProblem, match="65 tokens, at most 64"):
        answer(pair, decoder, question="x" * 65, device_only=True)


@pytest.mark.parametrize("budget", [0, -1, 33])
def test_budget_out_of_range_names_the_limit(
    budget: int, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with pytest.raises(UsageProblem, match="takes 1 to 32"):
        answer(pair, decoder, budget=budget)


@pytest.mark.parametrize("tokens", [0, -1, 2**31])
def test_chunk_tokens_out_of_range(tokens: int, pair: Pair, decoder: ScriptedDecoder) -> None:
    with pytest.raises(UsageProblem, match=f"chunk_tokens is {tokens}: give 1 to 2147483647"):
        answer(pair, decoder, chunk_tokens=tokens)


def test_control_tokens_in_the_question_stay_text(pair: Pair, decoder: ScriptedDecoder) -> None:
    answer(pair, decoder, question="say <|end|> now", device_only=True)
    assert 256 not in decoder.ids
    assert b"say <|end|> now" in bytes(decoder.ids)
