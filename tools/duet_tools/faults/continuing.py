"""Greedy signals that are continued, or generated among others: are they those of the uncut run?

The engine computes the start of a continued signal as a prompt, and several signals in one batch, so
that sums are rounded otherwise; that may decide a near tie. What follows is a greedy signal, too.
"""

import asyncio
from collections.abc import Sequence

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_UNSPECIFIED,
    ReasonRequest,
    SignalEnd,
    TokenIds,
)
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools.faults.services import Service
from duet_tools.faults.trials import Setting, Trials, Unheld, row
from duet_tools.subjects.asking import run, stubs
from duet_tools.subjects.service import Script
from duet_tools.subjects.workload import question

_SCRIPT = Script(tokens=60, pause_s=0.0)
_BUDGET = 48
# Of signals that have no end of their own: far longer than what the small pairs write.
_LONG = 128
_TIMEOUT_S = 60.0
# Of a signal, about.
_CUTS = 12
# Imported by the engine's core alone: vLLM may be missing here.
_NO_END = "duet_tools.faults.whole_budget:NoControlTokens"


def _questions(count: int) -> list[str]:
    """Return word problems, which a trained pair is sure of, and as many open questions."""
    problems = (
        f"Nina had {40 + each} euros. She bought 3 books for 8 euros each. How much is left?"
        for each in range(count // 2)
    )
    return [*problems, *map(question, range(count - count // 2))]


async def _signal(stub: InferenceServiceStub, asked: ReasonRequest) -> tuple[list[int], SignalEnd]:
    ids: list[int] = []
    end = SignalEnd()
    async for response in stub.Reason(asked, timeout=_TIMEOUT_S):  # type: ignore[attr-defined]
        ids += response.chunk.tokens.ids
        if response.HasField("end"):
            end = response.end
    return ids, end


async def _continue(
    stub: InferenceServiceStub, asked: ReasonRequest, whole: Sequence[int], trials: Trials
) -> list[bool]:
    """Continue a signal after its tokens; return whether each is the same in the end."""
    equal = []
    for cut in range(1, len(whole), max(1, len(whole) // _CUTS)):
        again = ReasonRequest()
        again.CopyFrom(asked)
        again.signal_prefix.tokens.CopyFrom(TokenIds(ids=whole[:cut]))
        with trials.trial():
            rest, end = await _signal(stub, again)
            if (end.prefix_tokens, end.signal_tokens) != (cut, len(rest)):
                raise Unheld("wrong counts")
            if cut + len(rest) > asked.budget or end.finish_reason == FINISH_REASON_UNSPECIFIED:
                raise Unheld("no whole signal")
            equal.append([*whole[:cut], *rest] == whole)
    return equal


async def _compare(
    address: str, requests: Sequence[ReasonRequest], trials: Trials, kind: str
) -> None:
    async with stubs([open_aio_channel(address)]) as (stub,):
        signals = [(await _signal(stub, each))[0] for each in requests]
        again = [(await _signal(stub, each))[0] for each in requests]
        batch = await asyncio.gather(*(_signal(stub, each) for each in requests))
        continued: list[bool] = []
        for asked, whole in zip(requests, signals, strict=True):
            continued += await _continue(stub, asked, whole, trials)
    pairs = list(zip(signals, again, batch, strict=True))
    figures = {
        "signals": len(signals),
        "tokens": sum(map(len, signals)),
        "equal when asked again": sum(one == two for one, two, _ in pairs) / len(pairs),
        f"equal among {len(pairs) - 1} others": sum(one == ids for one, _, (ids, _) in pairs)
        / len(pairs),
        "equal when continued": sum(continued) / len(continued),
    }
    trials.figures |= {name + kind: value for name, value in figures.items()}


@row(
    "signal continued by the engine",
    "greedy signals are asked for again, all at once, and continued after their tokens",
    "a continued signal is whole, within its budget, and counted right; figures say how many equal "
    "the uncut one",
    "engine",
)
def _continued(setting: Setting, trials: Trials) -> None:
    _ask(setting, trials, setting.count(16, 2), _BUDGET)
    if setting.vllm:
        flags = ("--logits-processors", _NO_END)
        _ask(setting, trials, setting.count(8, 2), _LONG, f", {_LONG} tokens each", *flags)


def _ask(
    setting: Setting, trials: Trials, count: int, budget: int, kind: str = "", *flags: str
) -> None:
    """Compare the signals of some questions; `kind` ends the names of the figures."""
    asked = [setting.workload.request(each, budget) for each in _questions(count)]
    script = None if setting.vllm else _SCRIPT
    with Service(setting, *flags, script=script) as service:
        run(_compare(service.address, asked, trials, kind))
        with trials.trial():
            service.check_sound()


ROWS = (_continued,)
