"""The event loop on a thread of its own."""

import asyncio
import threading

import pytest

from duet_tools.link.loop_thread import LoopThread


async def where() -> str:
    return threading.current_thread().name


async def fails() -> None:
    raise ValueError("as it was raised")


def test_coroutines_and_functions_run_on_the_thread() -> None:
    done: list[str] = []
    thread = LoopThread("apart")
    thread.start()
    thread.call(lambda: done.append(threading.current_thread().name))
    assert thread.wait_for(where()) == "apart"
    with pytest.raises(ValueError, match="as it was raised"):
        thread.wait_for(fails())
    thread.stop()
    assert done == ["apart"]
    assert not thread.running
    assert thread.loop.is_closed()


async def test_it_can_be_used_where_a_loop_runs() -> None:
    thread = LoopThread("apart", asyncio.new_event_loop())
    thread.start()
    assert thread.wait_for(where()) == "apart"
    thread.stop()
    assert thread.loop.is_closed()


def test_one_that_never_ran_is_closed() -> None:
    thread = LoopThread("apart")
    thread.stop()
    assert thread.loop.is_closed()
