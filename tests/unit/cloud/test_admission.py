"""Slots and queue places are shared among identities, whatever the order in which they ask."""

import asyncio
import itertools
from collections import Counter
from contextlib import suppress

import pytest
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from duet_cloud import admission as admission_module
from duet_cloud.admission import Admission
from duet_cloud.status import Refusal


def opened(max_running: int, max_waiting: int) -> Admission:
    # A second passes with each grant and release, whatever else the machine does.
    admission = Admission(max_running, max_waiting, itertools.count().__next__)
    admission.open(max_running)
    return admission


class Load:
    """Requests of identities: `served` counts slots by identity, `refused` refusals."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.served: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.tasks: list[asyncio.Task[None]] = []
        self._ids = 0

    async def request(self, identity: str, turns: int = 3) -> None:
        """One request, which holds its slot for some turns of the loop."""
        self._ids += 1
        try:
            async with self.admission.admit(str(self._ids), identity):
                for _ in range(turns):
                    await asyncio.sleep(0)
                self.served[identity] += 1
        except Refusal as refusal:
            if any(isinstance(each, error_details_pb2.RetryInfo) for each in refusal.details):
                self.refused[identity] += 1
            # As a client that asks again does, at once.
            await asyncio.sleep(0)

    async def keep_asking(self, identity: str) -> None:
        while True:
            await self.request(identity)

    def start(self, identity: str, connections: int) -> None:
        self.tasks += [asyncio.create_task(self.keep_asking(identity)) for _ in range(connections)]

    async def serve(self, requests: int) -> None:
        """Counts from zero, until so many were served."""
        self.served.clear()
        async with asyncio.timeout(30):
            while self.served.total() < requests:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.mark.parametrize(("max_running", "max_waiting"), [(1, 64), (4, 4)])
async def test_one_identity_with_many_connections_gets_one_share(max_running, max_waiting):
    load = Load(opened(max_running, max_waiting))
    load.start("many", 61)
    await load.serve(20)
    for identity in ("one", "two", "three"):
        # Enough at a time for a share of the slots.
        load.start(identity, max(1, max_running // 2))
    await load.serve(20)
    await load.serve(120)
    await load.stop()
    share = {name: count / load.served.total() for name, count in load.served.items()}
    # A quarter, but for the noise of a busy machine; without shares it is nearly all.
    assert share.pop("many") < 0.5
    assert len(share) == 3
    assert min(share.values()) > 0.1


async def test_an_identity_that_is_alone_takes_every_slot():
    load = Load(opened(4, 4))
    load.start("alone", 8)
    await asyncio.sleep(0.01)
    assert (load.admission.running, load.admission.waiting) == (4, 4)
    assert not load.refused
    await load.stop()


DROPPED = "a3: this device has more requests"


async def test_a_full_queue_drops_the_newest_of_who_has_most():
    admission = opened(1, 3)
    order: list[str] = []
    gate = asyncio.Event()

    async def ask(name: str, identity: str) -> None:
        try:
            async with admission.admit(name, identity):
                order.append(name)
                await gate.wait()
        except Refusal as refusal:
            order.append(f"{name}: {str(refusal).partition(' than')[0]}")

    tasks = [asyncio.create_task(ask(f"a{n}", "a")) for n in range(4)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(ask("b0", "b")))
    await asyncio.sleep(0.01)
    assert order == ["a0", DROPPED]
    assert admission.waiting == 3
    gate.set()
    await asyncio.gather(*tasks)
    # The slot goes to who has had the least of it.
    assert order == ["a0", DROPPED, "b0", "a1", "a2"]


@pytest.mark.parametrize(("running", "waiting"), [(1, 1), (8, 2), (256, 64)])
def test_a_quarter_as_many_wait_as_run(running, waiting):
    admission = Admission(1)
    admission.open(running)
    assert admission.max_waiting == waiting


async def test_a_slot_ends_with_generation_not_with_sending():
    admission = opened(1, 1)
    async with admission.admit("first", "a") as place:
        place.release()
        assert admission.running == 0
        async with admission.admit("second", "a"):
            assert admission.running == 1
        assert admission.running == 0


async def test_unread_signals_are_bounded_and_others_go_on(monkeypatch):
    monkeypatch.setattr(admission_module, "_MOST_UNREAD", 4)
    admission = opened(2, 2)
    held = []
    for number in range(4):
        context = admission.admit(str(number), "a")
        (await context.__aenter__()).release()
        held.append(context)
    with pytest.raises(Refusal, match="4 signals"):
        async with admission.admit("one more", "a"):
            pass
    async with admission.admit("other", "b") as place:
        place.release()
    for context in held:
        await context.__aexit__(None, None, None)
    async with admission.admit("again", "a"):
        pass


steps = st.lists(
    st.tuples(
        st.sampled_from(["begin", "release", "end", "cancel"]),
        st.sampled_from("abc"),
        st.integers(0, 9),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, max_running=st.integers(1, 3), max_waiting=st.integers(0, 4))
def test_no_order_of_events_loses_a_place(steps, max_running, max_waiting):
    """Counts are what is held, slots never idle while one waits, and nothing remains."""

    async def run() -> None:
        admission = opened(max_running, max_waiting)
        gates: list[asyncio.Event] = []
        tasks: list[asyncio.Task[None]] = []
        places = {}

        async def ask(number: int, identity: str) -> None:
            with suppress(Refusal):
                async with admission.admit(str(number), identity) as place:
                    places[number] = place
                    await gates[number].wait()
            places.pop(number, None)

        for step, identity, which in steps:
            if step == "begin":
                gates.append(asyncio.Event())
                tasks.append(asyncio.create_task(ask(len(tasks), identity)))
            elif which < len(tasks):
                if step == "release" and which in places:
                    places[which].release()
                elif step == "end":
                    gates[which].set()
                elif step == "cancel":
                    tasks[which].cancel()
            if which % 2:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert 0 <= admission.running <= max_running
        assert 0 <= admission.waiting <= max_waiting
        assert not admission.waiting or admission.running == max_running
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (admission.running, admission.waiting) == (0, 0)
        assert not admission._shares
        assert await admission.drain(0.1)

    asyncio.run(run())
