"""Accuracy of the emulator: delays and rates, measured from outside.

The emulator runs as a process of its own, as a user would run it. What is measured is what the
client sees, against what the same client sees without the emulator.
"""

import contextlib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pydantic import computed_field

from duet_contract.addresses import Address
from duet_report.tables import aligned
from duet_tools.errors import BenchError
from duet_tools.files import SchemaFile, Strict
from duet_tools.link.profiles import PRESETS
from duet_tools.results.machine import commit, describe_machine, load_average, today
from duet_tools.subjects.children import Child

WITHIN = 0.05
REPEATS = 3
_RTTS_MS = (2.0, 10.0, 45.0, 70.0, 300.0, 800.0)
_RATES_BIT_S = (256e3, 1e6, 10e6, 50e6, 100e6)
_PING = b"?" * 32


class LinkFigure(Strict):
    """A requested value and its measurements."""

    what: str
    """Name of the value."""
    unit: str
    """Unit of the value."""
    asked: float
    """Requested value, in `unit`."""
    measured: tuple[float, ...]
    """Value of each repeat, in `unit`."""
    promised: bool = True
    """Whether it must be within `WITHIN` of the requested value."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def error(self) -> float:
        """How far the median is off, as a part of what was asked."""
        return statistics.median(self.measured) / self.asked - 1

    @computed_field  # type: ignore[prop-decorator]
    @property
    def met(self) -> bool:
        """Whether that is within what was promised."""
        return abs(self.error) <= WITHIN


class AccuracyReport(SchemaFile):
    """All figures."""

    date: str
    """Day of the measurement, as ISO 8601 writes it."""
    commit: str | None
    """Commit of the repository; None: unknown."""
    machine: dict[str, str | int]
    """Description of the machine."""
    load: tuple[float, float]
    """Load average over one minute, before and after."""
    bare_rtt_ms: float
    """Round trip without the emulator in milliseconds; delays exclude it."""
    within: float = WITHIN
    """Largest relative error of a value that is promised."""
    figures: tuple[LinkFigure, ...]
    """Values and their measurements."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def met(self) -> bool:
        """Whether every promise is kept."""
        return all(figure.met for figure in self.figures if figure.promised)


def measure(say: Callable[[str], None], repeats: int = REPEATS) -> AccuracyReport:
    """Measure everything; takes about two minutes and needs an idle machine."""
    before = load_average()
    figures: list[LinkFigure] = []
    with _far_end() as target:
        bare = statistics.median(_round_trips(target, 200)) * 1000
        for rtt in _RTTS_MS:
            say(f"round trip of {rtt:g} ms")
            figures += _delays(target, rtt, bare, repeats)
        say("jitter of 20 ms around 100 ms")
        figures.append(_jitter(target, repeats))
        for rate in _RATES_BIT_S:
            for way in ("up", "down"):
                say(f"{rate / 1e6:g} Mbit/s {way}")
                figures.append(_rate(target, rate, way, repeats, shared=1))
        say("10 Mbit/s down, shared by 8")
        figures.append(_rate(target, 10e6, "down", repeats, shared=8))
        for name in ("wifi", "4g"):
            say(f"preset {name}")
            link = PRESETS[name]
            with _emulator(target, "--preset", name) as address:
                seen = [_median_ms(address, link.rtt_ms) - bare for _ in range(repeats)]
            figures.append(_figure(f"round trip, preset {name}", "ms", link.rtt_ms, seen))
    machine = describe_machine()
    return AccuracyReport(
        date=today(),
        commit=commit(),
        machine={"cpu": machine.cpu, "cores": machine.cores, "system": machine.system},
        load=(before, load_average()),
        bare_rtt_ms=bare,
        figures=tuple(figures),
    )


def table(report: AccuracyReport) -> str:
    """Return the figures as text."""
    head = ("figure", "asked", "measured", "off", f"within {WITHIN:.0%}")
    return aligned(
        head,
        [
            (
                figure.what,
                f"{figure.asked:.4g}",
                f"{statistics.median(figure.measured):.4g}",
                f"{figure.error:+.1%}",
                ("yes" if figure.met else "NO") if figure.promised else "(not promised)",
            )
            for figure in report.figures
        ],
    )


def _delays(target: str, rtt: float, bare: float, repeats: int) -> Iterator[LinkFigure]:
    """A round trip on an open connection, and what connecting and the first one take: two."""
    kept, cold = [], []
    with _emulator(target, "--rtt", str(rtt)) as address:
        for _ in range(repeats):
            kept.append(_median_ms(address, rtt) - bare)
            cold.append(_cold_ms(address) - 2 * bare)
    yield _figure(f"round trip, {rtt:g} ms", "ms", rtt, kept)
    # Below 10 ms, a new connection's own work (a thread, a socket) is more than 5% of it.
    yield _figure(f"connect and first answer, {rtt:g} ms", "ms", 2 * rtt, cold, promised=rtt >= 10)


def _jitter(target: str, repeats: int) -> LinkFigure:
    """Spread of the round trips: the sum of two even draws of ±20 ms has 20·√(2/3) ms."""
    with _emulator(target, "--rtt", "100", "--jitter", "20") as address:
        spreads = [statistics.pstdev(_round_trips(address, 40)) * 1000 for _ in range(repeats)]
    # A standard deviation over 40 draws is itself uncertain by a tenth.
    return _figure("jitter, standard deviation", "ms", 20 * (2 / 3) ** 0.5, spreads, promised=False)


def _rate(target: str, rate: float, way: str, repeats: int, shared: int) -> LinkFigure:
    seconds = 1.0 if rate > 1e6 else 2.0
    size = int(rate / 8 * seconds / shared)
    with _emulator(target, f"--{way}", f"{rate:.0f}", "--rtt", "20") as address:
        seen = [_transfer(address, way, size, shared) / 1e6 for _ in range(repeats)]
    name = f"rate {way}, {rate / 1e6:g} Mbit/s" + (f", {shared} connections" * (shared > 1))
    return _figure(name, "Mbit/s", rate / 1e6, seen)


def _figure(
    what: str, unit: str, asked: float, measured: Sequence[float], *, promised: bool = True
) -> LinkFigure:
    return LinkFigure(
        what=what, unit=unit, asked=asked, measured=tuple(measured), promised=promised
    )


def _median_ms(address: str, rtt: float) -> float:
    return statistics.median(_round_trips(address, max(5, min(100, int(600 / rtt))))) * 1000


def _round_trips(address: str, count: int) -> list[float]:
    """Return seconds of each; the connection is open before the first."""
    times = []
    with _connect(address) as client:
        client.sendall(b"e")
        _ping(client)
        for _ in range(count):
            began = time.perf_counter()
            _ping(client)
            times.append(time.perf_counter() - began)
    return times


def _cold_ms(address: str) -> float:
    began = time.perf_counter()
    with _connect(address) as client:
        client.sendall(b"e")
        _ping(client)
        return (time.perf_counter() - began) * 1000


def _ping(client: socket.socket) -> None:
    client.sendall(_PING)
    left = len(_PING)
    while left:
        data = client.recv(left)
        if not data:
            raise BenchError("the emulator closed a connection")
        left -= len(data)


def _transfer(address: str, way: str, size: int, shared: int) -> float:
    """Return bits a second of `size` bytes on each connection, first byte to last."""
    with ThreadPoolExecutor(shared) as pool:
        marks = list(pool.map(lambda _: _bulk(address, way, size), range(shared)))
    first, last = min(mark[0] for mark in marks), max(mark[1] for mark in marks)
    return sum(mark[2] for mark in marks) * 8 / (last - first)


def _bulk(address: str, way: str, size: int) -> tuple[float, float, int]:
    """Return when the first and the last bytes arrived, and the number of bytes after the first."""
    with _connect(address) as client:
        if way == "down":
            client.sendall(b"d%d\n" % size)
            return _drain(client, size)
        client.sendall(b"u%d\n" % size)
        client.sendall(b"x" * size)
        # The far end reports its times, on the same clock.
        first, last, counted = client.makefile().readline().split()
        return float(first), float(last), int(counted)


def _drain(connection: socket.socket, size: int) -> tuple[float, float, int]:
    seen, head = 0, 0
    first = last = 0.0
    while seen < size:
        data = connection.recv(1 << 20)
        if not data:
            break
        last = time.monotonic()
        if not seen:
            first, head = last, len(data)
        seen += len(data)
    return first, last, seen - head


@contextmanager
def _far_end() -> Iterator[str]:
    """The target, in a process of its own: answers, sends, or counts, as the first byte asks."""
    command = [sys.executable, "-c", "from duet_tools.link.accuracy import far_end; far_end()"]
    with _process("the far end", command) as address:
        yield address


@contextmanager
def _emulator(target: str, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "duet_tools", "link", "--target", target, *options]
    with _process("the emulator", command) as address:
        yield address


@contextmanager
def _process(name: str, command: list[str]) -> Iterator[str]:
    """A process that says its address in its first line."""
    with Child(name, command, talks=True) as child:
        yield child.line()


def far_end() -> None:
    """Serve until it is ended; print its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        print("{}:{}".format(*server.getsockname()), flush=True)
        while True:
            connection, _address = server.accept()
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        order = connection.recv(1)
        if order == b"e":
            while data := connection.recv(1 << 16):
                connection.sendall(data)
            return
        number = b""
        while (digit := connection.recv(1)) not in (b"\n", b""):
            number += digit
        if order == b"d":
            connection.sendall(b"x" * int(number))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        else:
            connection.sendall("{} {} {}\n".format(*_drain(connection, int(number))).encode())


def _connect(address: str) -> socket.socket:
    server = Address.parse(address)
    client = socket.create_connection((server.host, server.port), timeout=60)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client
