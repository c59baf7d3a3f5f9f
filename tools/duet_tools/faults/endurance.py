"""Many short requests, clients that read nothing, and devices that die: what a service still holds."""

import asyncio
import sys
import time
from functools import partial

import grpc

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_tools.faults.devices import QUESTION, Device
from duet_tools.faults.garbage import check_flat
from duet_tools.faults.homes import Home
from duet_tools.faults.services import Held, Service, comes_true
from duet_tools.faults.trials import Setting, Trials, Unheld, row
from duet_tools.subjects.asking import reason, run, stubs
from duet_tools.subjects.children import Child
from duet_tools.subjects.service import Script

_WARM_UP = 200
_AT_ONCE = 8
# The service ends a call whose reader does not read after this time; 30 s by default.
_WRITE_S = 2.0
_FREE_S = 1.0
# gRPC's pool of threads grows and shrinks with what there is to do, and a thread may have a descriptor
# of its own; what requests leave behind would be hundreds.
_POOL_THREADS = 4
_CLOSED_S = 20.0


async def _ask_many(address: str, asked: ReasonRequest, count: int) -> int:
    """Ask on one connection; return how many signals were whole."""
    limit = asyncio.Semaphore(_AT_ONCE)
    async with stubs([open_aio_channel(address)]) as (stub,):

        async def ask() -> bool:
            sizes: list[int] = []
            async with limit:
                try:
                    found = await reason(stub, asked, sizes.append, timeout=20)
                except grpc.aio.AioRpcError:
                    return False
                return sum(sizes) == found.tokens == asked.budget

        return sum(await asyncio.gather(*(ask() for _ in range(count))))


@row(
    "many requests in a row",
    f"5,000 requests for 8 tokens each, {_AT_ONCE} at a time",
    "all signals are whole; memory, descriptors, threads and engine requests do not grow",
)
def _many(setting: Setting, trials: Trials) -> None:
    asked = setting.workload.request(QUESTION, 8)
    with Service(setting, script=Script(pause_s=0.0)) as service:
        run(_ask_many(service.address, asked, _WARM_UP))
        before = service.held()
        count = setting.count(5000, 300)
        began = time.monotonic()
        whole = run(_ask_many(service.address, asked, count))
        trials.figures["requests per second"] = count / (time.monotonic() - began)
        trials.held += whole
        if whole < count:
            trials.otherwise["no whole signal"] += count - whole
        _check_held(trials, service, before)


def _check_held(trials: Trials, service: Service, before: Held) -> None:
    with trials.trial():
        service.check_sound()
        if not comes_true(lambda: service.capacity().running == 0, _FREE_S):
            raise Unheld("requests are still in the engine")
        after = service.held()
        trials.figures["growth, MiB"] = after.memory_mib - before.memory_mib
        check_flat(after.memory_mib - before.memory_mib)
        if after.threads > before.threads + _POOL_THREADS:
            raise Unheld("threads grow")
        # Connections of the last requests may just be closing.
        most = before.handles + _POOL_THREADS
        if not comes_true(lambda: service.held().handles <= most, _CLOSED_S):
            raise Unheld("file descriptors grow")


@row(
    "clients that read nothing",
    "as many clients as the engine has slots, with closed HTTP/2 windows",
    f"each call ends after --write-s ({_WRITE_S:g} s) and the next question is answered; nothing grows",
)
def _unread(setting: Setting, trials: Trials) -> None:
    slots, longest = 4, 0.0
    # Long enough for all of them to be seen running at once.
    script = Script(tokens=400, pause_s=0.02, slots=slots)
    with (
        Service(setting, "--write-s", str(_WRITE_S), script=script) as service,
        Device(setting) as device,
    ):
        device.ask(service.address, budget=8).check_split()
        before = service.held()
        asked = setting.workload.request(QUESTION, 64).SerializeToString().hex()
        clients = [sys.executable, "-m", "duet_tools.faults.unread", service.address, asked]
        clients.append(str(slots))
        for number in range(1, setting.count(10, 1) + 1):
            with trials.trial(), Child("clients that read nothing", clients):
                if not comes_true(lambda: service.capacity().running == slots, 5):
                    raise Unheld("the calls do not arrive")
                began = time.monotonic()
                if not comes_true(lambda: service.capacity().running == 0, 30):
                    raise Unheld("a client that reads nothing keeps its slot")
                longest = max(longest, time.monotonic() - began)
                if longest > _WRITE_S + _FREE_S:
                    raise Unheld("slots are free too late")
                due = number * slots
                if not comes_true(partial(_ended, service, due), _WRITE_S + _FREE_S):
                    raise Unheld("the calls do not end")
                device.ask(service.address, budget=8).check_split()
        trials.figures["slots free, longest, s"] = longest
        _check_held(trials, service, before)


def _ended(service: Service, count: int) -> bool:
    """Return whether the service has ended that many calls."""
    ended = [each for each in service.events("reasoned") if each["outcome"] == "unavailable"]
    return len(ended) >= count


@row(
    "device killed mid-answer",
    "SIGKILL of a device that receives a signal",
    "the engine's slot is free within a second",
)
def _killed_device(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "device")
    script = Script(tokens=400, pause_s=0.05)
    longest = 0.0
    with Service(setting, script=script) as service:
        ask = [
            "ask",
            "--pair",
            str(setting.workload.directory),
            "--allow-unsigned",
            "--budget",
            "64",
        ]
        ask += ["--temperature", "1", "--server", service.address, QUESTION]
        for _ in range(setting.count(20, 2)):
            with trials.trial():
                command = home.start(*ask)
                if not comes_true(lambda: service.capacity().running == 1, 20):
                    command.kill()
                    raise Unheld("the question does not arrive")
                time.sleep(setting.draws.uniform(0.0, 0.3))
                command.process.kill()
                killed = time.monotonic()
                if not comes_true(lambda: service.capacity().running == 0, 30):
                    raise Unheld("the slot stays taken")
                seconds = time.monotonic() - killed
                longest = max(longest, seconds)
                if seconds > _FREE_S:
                    raise Unheld("the slot is free after more than a second")
                command.wait()
    trials.figures["slot free, longest, s"] = longest


ROWS = (_many, _unread, _killed_device)
