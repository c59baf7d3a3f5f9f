"""However a question ends, the service logs and stores nothing of it."""

import gc
import types

import grpc
import pytest
from prometheus_client import generate_latest

from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
)

PRIVATE = "the safe opens with 4711"
# Token ids that no prompt and no count of the service holds.
SIGNAL = list(range(23_456, 23_496))


def _request(cloud, **changes):
    values = {
        "question": PRIVATE,
        "encodings": [SIGNAL_ENCODING_TEXT],
        "vocabulary": cloud.vocabulary,
        "pair": "toy@1.2.3",
        "request_id": "mine",
    }
    return ReasonRequest(**{**values, **changes})


# Name, changes of the request, and what is done to the engine.
ENDS = {
    "answered": ({}, {}),
    "answered in token ids": ({"encodings": [SIGNAL_ENCODING_TOKEN_IDS]}, {}),
    "cut": ({"budget": 2}, {}),
    "refused": ({"budget": 0}, {}),
    "too long": ({"question": PRIVATE * 100}, {}),
    "too many tokens": ({"question": PRIVATE * 12}, {}),
    "malformed": ({"question": PRIVATE + "\0"}, {}),
    "of another pair": ({"pair": "other@1.0.0"}, {}),
    "failed": ({}, {"fail_after": 3}),
    "out of time": ({}, {"pause_s": 0.2}),
    "cancelled": ({}, {"pause_s": 0.2}),
}


async def _ask(cloud, name):
    changes, engine = ENDS[name]
    for attribute, value in engine.items():
        setattr(cloud.engine, attribute, value)
    timeout = 0.3 if name == "out of time" else None
    call = cloud.inference.Reason(_request(cloud, **changes), timeout=timeout)
    try:
        async for _ in call:
            if name == "cancelled":
                call.cancel()
    except grpc.aio.AioRpcError as error:
        return f"{error.details()} {error.trailing_metadata()}"
    except BaseException as error:
        if name != "cancelled":
            raise
        return repr(error)
    return ""


def _runs(text):
    return {text[at : at + 12] for at in range(len(text) - 11)}


@pytest.mark.parametrize("name", ENDS)
async def test_logs_metrics_and_errors_say_nothing_of_it(name, capfd, cloud):
    cloud.engine.script = SIGNAL
    refusal = await _ask(cloud, name)
    await cloud.server.drain()
    metrics = generate_latest(cloud.server.metrics.registry).decode()
    logged = "".join(capfd.readouterr())
    assert '"reasoned"' in logged
    for where, text in (("log", logged), ("metrics", metrics), ("error", refusal)):
        assert not [run for run in _runs(PRIVATE) if run in text], where
        assert "23456" not in text, where


@pytest.mark.parametrize("name", ["answered", "refused", "failed", "cancelled"])
async def test_nothing_of_it_stays_in_the_service(name, cloud):
    cloud.engine.script = SIGNAL
    await _ask(cloud, name)
    await cloud.server.drain()
    # What the double remembers for other tests is not the service's.
    cloud.engine.jobs.clear()
    cloud.engine.script = []
    kept = [item for item in _reachable(cloud.server) if isinstance(item, str | bytes)]
    assert len(kept) > 100, "the walk saw nothing"
    assert not [item for item in kept if PRIVATE[:12] in str(item)]
    numbers = {item for item in _reachable(cloud.server) if type(item) is int}
    vocabulary = cloud.server._pair.manifest.reasoner.vocabulary.size
    assert vocabulary > 0
    assert not numbers & set(SIGNAL)


def _reachable(root):
    """Objects that the service holds, without code and without what the event loop runs."""
    seen, queue = {id(root)}, [root]
    apart = (type, types.ModuleType, types.FunctionType, types.FrameType, types.CodeType)
    while queue:
        item = queue.pop()
        yield item
        for held in gc.get_referents(item):
            module = type(held).__module__ or ""
            if (
                id(held) not in seen
                and not isinstance(held, apart)
                and not module.startswith(("asyncio", "_asyncio", "_pytest", "tokenizers"))
            ):
                seen.add(id(held))
                queue.append(held)
