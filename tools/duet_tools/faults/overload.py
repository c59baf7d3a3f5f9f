"""Ten times the load that a service admits: those admitted stay fast, the others are refused at once."""

import time
from dataclasses import dataclass, field

import grpc
import numpy as np

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools.faults.devices import QUESTION
from duet_tools.faults.garbage import check_flat
from duet_tools.faults.services import Service
from duet_tools.faults.trials import Setting, Trials, Unheld, row
from duet_tools.subjects.asking import at_times, is_full, reason, run, stubs
from duet_tools.subjects.service import Script

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
class Seen:
    """Calls, by how they ended."""

    admitted: list[float] = field(default_factory=list)
    """Seconds of each call that was answered."""
    refused: list[float] = field(default_factory=list)
    """Seconds of each call that was refused."""
    others: int = 0
    """Number of calls that failed otherwise."""


async def _load(address: str, asked: ReasonRequest, per_s: float, seconds: float) -> Seen:
    """Send requests at a steady rate, whatever becomes of them."""
    seen = Seen()

    async def ask(stub: InferenceServiceStub) -> None:
        began = time.perf_counter()
        try:
            await reason(stub, asked, timeout=60)
        except grpc.aio.AioRpcError as error:
            if is_full(error):
                seen.refused.append(time.perf_counter() - began)
            else:
                seen.others += 1
        else:
            seen.admitted.append(time.perf_counter() - began)

    own = [("grpc.use_local_subchannel_pool", 1)]
    channels = (open_aio_channel(address, options=own) for _ in range(_CONNECTIONS))
    async with stubs(channels) as opened:
        count = int(per_s * seconds)
        calls = (ask(opened[number % _CONNECTIONS]) for number in range(count))
        await at_times((number / per_s for number in range(count)), calls)
    return seen


@row(
    "overload",
    f"{_TIMES} times the admitted load for 60 s, none waiting",
    f"admitted p99 at most {_SLOWER:g} times the unloaded p99, refused p99 at most "
    f"{_REFUSED_S * 1e3:g} ms, memory flat",
)
def _overload(setting: Setting, trials: Trials) -> None:
    seconds = setting.count(60, 6)
    admitted_per_s = _SLOTS / _STREAM_S
    asked = setting.workload.request(QUESTION, _BUDGET)
    with Service(setting, "--max-waiting", "0", script=_SCRIPT) as service:
        # Half of what is admitted: a slot is always free.
        alone = run(_load(service.address, asked, admitted_per_s / 2, seconds / 2))
        before = service.held()
        seen = run(_load(service.address, asked, _TIMES * admitted_per_s, seconds))
        growth = service.held().memory_mib - before.memory_mib
        with trials.trial():
            service.check_sound()
            if seen.others or alone.others:
                raise Unheld("calls fail otherwise than refused")
    trials.figures |= judged(alone, seen, trials)
    with trials.trial():
        check_flat(growth)
    trials.figures["growth, MiB"] = growth


def judged(alone: Seen, seen: Seen, trials: Trials) -> dict[str, float]:
    """Count the trials of what was seen without and with the load; return its figures."""
    figures = {"admitted": float(len(seen.admitted)), "refused": float(len(seen.refused))}
    with trials.trial():
        if not (alone.admitted and seen.admitted):
            raise Unheld("no call is admitted")
        unloaded, loaded = (float(np.percentile(each.admitted, 99)) for each in (alone, seen))
        figures["admitted p99 ratio"] = loaded / unloaded
        if loaded > _SLOWER * unloaded:
            raise Unheld("admitted calls are slow")
    with trials.trial():
        if not seen.refused:
            raise Unheld("no call is refused")
        median, most = (float(each) for each in np.percentile(seen.refused, (50, 99)))
        figures |= {"refused p50, ms": median * 1e3, "refused p99, ms": most * 1e3}
        if most > _REFUSED_S:
            raise Unheld("refusals are slow")
    return figures


ROWS = (_overload,)
