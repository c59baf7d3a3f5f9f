"""Runs one condition's load: asks its questions at once or at a rate; each device has a link of its own."""

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Literal

from duet_device.errors import DeviceError, Interrupted
from duet_tools.link.profiles import LinkProfile
from duet_tools.results.conditions import Condition
from duet_tools.results.questions import QuestionRow
from duet_tools.results.record import UNREACHABLE, failed
from duet_tools.split.link_pool import DeviceLink, LinkPool
from duet_tools.split.modes.base import Mode, Reply

# Questions in a row that reach no server: it is gone, and further ones would fail as well.
GIVE_UP_AFTER = 4
# Devices that are played at most where questions come at a rate, however long answers take.
MOST_DEVICES = 512
_POLL_S = 0.05
_END_WITHIN_S = 5.0


@dataclass
class Load:
    """A condition's load."""

    condition: Condition
    """The condition."""
    mode: Mode
    """How a question is answered."""
    target: str | None
    """HOST:PORT of the server; None: the mode needs no server."""
    link: LinkProfile
    """The link between devices and cloud."""
    seed: int
    """Seed of arrivals and links."""
    pool: LinkPool
    """Process that opens a link for each device."""
    connect: Callable[[str], None] | None = None
    """Opens the connection that a device keeps, at an address; None: it keeps none."""
    tell: Callable[[Reply], None] = lambda _: None
    """Called with each completed question, from any thread."""


@dataclass
class LoadResult:
    """Results of a load."""

    asked: list[Reply] = field(default_factory=list)
    """Replies, in the order in which they were complete."""
    seconds: float = 0.0
    """Seconds from the first question to the last answer or failure."""
    died: bool = False
    """Whether the server became unreachable."""
    interrupted: bool = False
    """Whether the user interrupted the load."""


def offsets(
    count: int, rate: float, spread: Literal["constant", "poisson"], seed: int
) -> list[float]:
    """Return seconds from the start to each of `count` questions; the same for the same seed."""
    if spread == "constant":
        return [number / rate for number in range(count)]
    draw = random.Random(seed)
    at, found = 0.0, []
    for _ in range(count):
        found.append(at)
        at += draw.expovariate(rate)
    return found


def warm_up(load: Load, questions: Sequence[tuple[int, QuestionRow]]) -> None:
    """Ask some questions one after another that do not count; failures are left to the load."""
    stop = threading.Event()
    with ExitStack() as stack:
        link = _open_link(stack, load, device=0)
        for index, question in questions:
            try:
                load.mode.ask(question, index, link.address if link else "", stop)
            except DeviceError:
                return


def run(load: Load, questions: Sequence[tuple[int, QuestionRow]]) -> LoadResult:
    """Ask every question once; each comes with its place in the data."""
    work = _Work(load, questions)
    try:
        work.run()
    except KeyboardInterrupt:
        work.outcome.interrupted = True
        work.stop.set()
        work.join()
    finally:
        work.close()
    # A short condition ends before that many failures in a row.
    statuses = {asked.record.status for asked in work.outcome.asked}
    work.outcome.died = work.outcome.died or statuses == {UNREACHABLE}
    work.outcome.asked.sort(key=lambda asked: asked.record.index)
    return work.outcome


class _Work:
    """Questions, the threads that ask them, and their results."""

    def __init__(self, load: Load, questions: Sequence[tuple[int, QuestionRow]]) -> None:
        self.load = load
        self.stop = threading.Event()
        self.outcome = LoadResult()
        self._questions = questions
        self._waiting: queue.SimpleQueue[tuple[int, QuestionRow] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._unreached = 0
        self._threads: list[threading.Thread] = []
        self._links: list[tuple[DeviceLink, Reply]] = []
        self._stack = ExitStack()
        self._broken: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self._began = 0.0

    def run(self) -> None:
        streams = self.load.condition.streams
        if streams is None:
            self._began = time.perf_counter()
            self._at_rate()
        else:
            devices = min(streams, len(self._questions))
            links = [_open_link(self._stack, self.load, number) for number in range(devices)]
            for item in (*self._questions, *[None] * devices):
                self._waiting.put(item)
            if self.load.connect:
                self._connect(links)
            self._began = time.perf_counter()
            if streams == 1:
                # In this thread, where Ctrl-C arrives.
                self._device(links[0])
                return
            for link in links:
                self._start(link)
        while any(thread.is_alive() for thread in self._threads):
            time.sleep(_POLL_S)
        if not self._broken.empty():
            raise self._broken.get()

    def join(self) -> None:
        """Wait until the threads see that the run ends, which one at a silent server may not."""
        end = time.monotonic() + _END_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """Add bytes that follow the last answers to the last question of each device."""
        if not self.outcome.interrupted and self._links:
            self._links[0][0].settle(self.load.link.rtt_ms)
        for link, last in self._links:
            rest = link.taken()
            last.record.wire_up += rest.up
            last.record.wire_down += rest.down
        self._stack.close()

    def _connect(self, links: Sequence[DeviceLink | None]) -> None:
        """Open every device's connection; its bytes count for no question."""
        there = [link for link in links if link]
        with ThreadPoolExecutor(len(there) or 1) as pool:
            list(pool.map(self._try_to_connect, there))
        for link in there:
            link.taken()

    def _try_to_connect(self, link: DeviceLink) -> None:
        assert self.load.connect
        # A server that is gone is what the questions say.
        with suppress(DeviceError):
            self.load.connect(link.address)

    def _at_rate(self) -> None:
        condition = self.load.condition
        assert condition.rate is not None
        assert condition.spread is not None
        times = offsets(len(self._questions), condition.rate, condition.spread, self.load.seed)
        try:
            for item, at in zip(self._questions, times, strict=True):
                if self.stop.wait(max(0.0, self._began + at - time.perf_counter())):
                    return
                self._waiting.put(item)
                # Another device, unless one is idle.
                if not self._idle.acquire(blocking=False) and len(self._threads) < MOST_DEVICES:
                    self._start(_open_link(self._stack, self.load, len(self._threads)))
        finally:
            for _ in self._threads:
                self._waiting.put(None)

    def _start(self, link: DeviceLink | None) -> None:
        def work() -> None:
            try:
                if self.load.connect and self.load.condition.streams is None:
                    self._connect([link])
                self._device(link)
            except BaseException as error:  # To be raised where the run is waited for.
                self._broken.put(error)
                self.stop.set()

        name = f"bench-device-{len(self._threads)}"
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _device(self, link: DeviceLink | None) -> None:
        last: Reply | None = None
        while (item := self._waiting.get()) and not self.stop.is_set():
            asked = self._ask(*item, link)
            if asked is None:
                break
            last = asked
            self._idle.release()
        if link and last:
            with self._lock:
                self._links.append((link, last))

    def _ask(self, index: int, question: QuestionRow, link: DeviceLink | None) -> Reply | None:
        at = time.perf_counter()
        try:
            asked = self.load.mode.ask(question, index, link.address if link else "", self.stop)
        except Interrupted:
            return None
        except DeviceError as error:
            asked = Reply(failed(error))
            asked.record.total_ms = (time.perf_counter() - at) * 1e3
        record = asked.record
        record.condition, record.id, record.index = self.load.condition.id, question.id, index
        record.at_s = at - self._began
        ended = time.perf_counter() - self._began
        if link:
            passed = link.taken()
            record.wire_up, record.wire_down = passed.up, passed.down
        with self._lock:
            self.outcome.seconds = max(self.outcome.seconds, ended)
            self.outcome.asked.append(asked)
            self._unreached = self._unreached + 1 if record.status == UNREACHABLE else 0
            streams = self.load.condition.streams or 1
            if self._unreached >= GIVE_UP_AFTER + streams:
                self.outcome.died = True
                self.stop.set()
        self.load.tell(asked)
        return asked


def _open_link(stack: ExitStack, load: Load, device: int) -> DeviceLink | None:
    if load.target is None:
        return None
    return stack.enter_context(load.pool.open(load.target, load.link, load.seed + device))
