"""Ten times the load that a service admits: those admitted stay fast, the others are refused at once."""

import asyncio
import time
from dataclasses import dataclass, field

import grpc
import numpy as np

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools.faults.endurance import request
from duet_tools.faults.garbage import check_flat
from duet_tools.faults.services import Script, Service
from duet_tools.faults.trials import Row, Setting, Trials, Unheld

_SLOTS = 4
# A stream takes about a second: the rate that the slots carry is known without measuring.
_SCRIPT = Script(tokens=400, pause_s=0.05, slots=_SLOTS)
_BUDGET = 20
_STREAM_S = _BUDGET * _SCRIPT.pause_s
_TIMES = 10
_CONNECTIONS = 8
_REFUSED_S = 0.05
_SLOWER = 1.3


@dataclass
class _Seen:
    """Seconds of calls, by how they ended."""

    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    others: int = 0


async def _load(address: str, asked: ReasonRequest, per_s: float, seconds: float) -> _Seen:
    """Send requests at a steady rate, whatever becomes of them."""
    seen = _Seen()
    channels = [
        open_aio_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(_CONNECTIONS)
    ]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    stubs = [InferenceServiceStub(channel) for channel in channels]

    async def ask(number: int) -> None:
        began = time.perf_counter()
        try:
            async for _ in stubs[number % _CONNECTIONS].Reason(asked, timeout=60):
                pass
        except grpc.aio.AioRpcError as error:
            took = time.perf_counter() - began
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                seen.refused.append(took)
            else:
                seen.others += 1
            return
        seen.admitted.append(time.perf_counter() - began)

    began, calls = time.perf_counter(), []
    for number in range(int(per_s * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
        calls.append(asyncio.create_task(ask(number)))
    await asyncio.gather(*calls)
    for channel in channels:
        await channel.close()
    return seen


def _overload(setting: Setting, trials: Trials) -> None:
    seconds = setting.count(60, 6)
    admitted_per_s = _SLOTS / _STREAM_S
    asked = request(setting, _BUDGET)
    with Service(setting, "--max-waiting", "0", script=_SCRIPT) as service:
        # Half of what is admitted: a slot is always free.
        alone = asyncio.run(_load(service.address, asked, admitted_per_s / 2, seconds / 2))
        before = service.held()
        seen = asyncio.run(_load(service.address, asked, _TIMES * admitted_per_s, seconds))
        after = service.held()
        with trials.trial():
            service.check_sound()
            if seen.others or alone.others:
                raise Unheld("calls fail otherwise than refused")
    unloaded, loaded = (float(np.percentile(each.admitted, 99)) for each in (alone, seen))
    refused = float(np.percentile(seen.refused, 99))
    growth = after.memory_mib - before.memory_mib
    with trials.trial():
        if loaded > _SLOWER * unloaded:
            raise Unheld("admitted calls are slow")
    with trials.trial():
        if refused > _REFUSED_S:
            raise Unheld("refusals are slow")
    with trials.trial():
        check_flat(growth)
    trials.figures |= {
        "admitted p99 ratio": loaded / unloaded,
        "refused p50, ms": float(np.median(seen.refused)) * 1e3,
        "refused p99, ms": refused * 1e3,
        "admitted": float(len(seen.admitted)),
        "refused": float(len(seen.refused)),
        "growth, MiB": growth,
    }


ROWS = (
    Row(
        "overload",
        f"{_TIMES} times the admitted load for 60 s, none waiting",
        f"admitted p99 at most {_SLOWER:g} times the unloaded p99, refused p99 at most "
        f"{_REFUSED_S * 1e3:g} ms, memory flat",
        _overload,
    ),
)
