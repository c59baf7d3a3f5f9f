"""Ask a service for signals to questions, many at a time, and record them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import grpc

from duet_contract.channels import open_aio_channel
from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import FINISH_REASON_BUDGET, ReasonRequest, SignalEnd
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_device.question import build_request
from duet_device.settings import Settings
from duet_tools.errors import BenchError
from duet_tools.files import Strict

TEMPERATURE = 0.7
"""Of every signal but the first to a question, as in a further round of the device."""
_LIMIT_S = 120.0


@dataclass(frozen=True)
class SetQuestion:
    """A question of a set."""

    set: str
    """Name of the set."""
    id: str
    """Id in the set."""
    question: str
    """Text."""
    answer: str
    """Reference."""


class SignalRow(Strict):
    """A signal, as it was received."""

    set: str
    """Name of the question's set."""
    id: str
    """Id of the question in the set."""
    number: int
    """0 is greedy; others are sampled with this seed."""
    text: str
    """Text of the signal."""
    tokens: int
    """Number of signal tokens."""
    cut: bool
    """Whether the budget ended the signal."""
    least_log_probability: float | None
    """Least log-probability of a token; None: the service sent none."""
    mean_log_probability: float | None
    """Mean log-probability of the tokens; None: the service sent none."""


def missing(
    asked: Sequence[SetQuestion], samples: int, held: Iterable[SignalRow]
) -> list[tuple[SetQuestion, int]]:
    """Return the signals that no row has: of each question the greedy one, and samples.

    Examples:
        >>> missing([SetQuestion("sums", "1", "1+1?", "2")], 1, [])
        [(SetQuestion(set='sums', id='1', question='1+1?', answer='2'), 0), \
(SetQuestion(set='sums', id='1', question='1+1?', answer='2'), 1)]
    """
    there = {(row.set, row.id, row.number) for row in held}
    return [
        (each, number)
        for number in range(samples + 1)
        for each in asked
        if (each.set, each.id, number) not in there
    ]


async def ask(
    wanted: Sequence[tuple[SetQuestion, int]], manifest: Manifest, server: str, streams: int
) -> AsyncIterator[SignalRow]:
    """Yield signals as they end.

    Raises:
        BenchError: the service failed.
    """
    limit = asyncio.Semaphore(streams)

    async def one(asked: SetQuestion, number: int) -> SignalRow:
        async with limit:
            return await _one(stub, manifest, asked, number)

    async with open_aio_channel(server) as channel:
        stub = InferenceServiceStub(channel)
        tasks = [asyncio.create_task(one(*each)) for each in wanted]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        except grpc.aio.AioRpcError as error:
            raise BenchError(
                f"the service at {server} failed ({error.code().name}): {error.details()}"
            ) from error
        finally:
            for task in tasks:
                task.cancel()
            # Other requests failed alike.
            await asyncio.gather(*tasks, return_exceptions=True)


async def _one(
    stub: InferenceServiceStub, manifest: Manifest, asked: SetQuestion, number: int
) -> SignalRow:
    sampled = Settings(temperature=TEMPERATURE, seed=number)
    request: ReasonRequest = build_request(
        asked.question, manifest, sampled if number else Settings()
    )
    del request.encodings[:-1]
    text, end = "", SignalEnd()
    async for response in stub.Reason(request, timeout=_LIMIT_S):  # type: ignore[attr-defined]
        if response.HasField("chunk"):
            text += response.chunk.text
        else:
            end = response.end
    known = end.HasField("mean_log_probability")
    return SignalRow(
        set=asked.set,
        id=asked.id,
        number=number,
        text=text,
        tokens=end.signal_tokens,
        cut=end.finish_reason == FINISH_REASON_BUDGET,
        least_log_probability=end.least_log_probability if known else None,
        mean_log_probability=end.mean_log_probability if known else None,
    )
