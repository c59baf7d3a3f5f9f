"""How the bench asks a service: on one event loop, at given times."""

import asyncio
import time

from duet_tools.subjects.asking import at_times, run


async def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_every_run_has_the_same_event_loop_which_grpc_needs() -> None:
    assert run(loop()) is run(loop())


def test_a_call_starts_at_its_time_whatever_becomes_of_earlier_ones() -> None:
    began = time.perf_counter()

    async def call(takes_s: float) -> float:
        at = time.perf_counter() - began
        await asyncio.sleep(takes_s)
        return at

    first, second = run(at_times([0.0, 0.05], [call(0.2), call(0.0)]))
    assert 0 <= first < 0.05 <= second < 0.2
