"""How the bench asks a service: on one event loop, at given times."""

import asyncio
import time

from duet_tools.subjects.asking import at_times, run


async def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_every_run_has_the_same_event_loop_which_grpc_needs() -> None:
    assert run(loop()) is run(loop())


def test_a_call_starts_at_its_time_whatever_becomes_of_earlier_ones() -> None:
    began, second_started = time.perf_counter(), asyncio.Event()

    async def first() -> None:
        await second_started.wait()

    async def second() -> float:
        second_started.set()
        return time.perf_counter() - began

    assert run(at_times([0.0, 0.05], [first(), second()]))[1] >= 0.05
