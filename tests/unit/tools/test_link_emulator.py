"""The emulator over real loopback sockets. What is asserted of time are lower bounds, and that what
was asked for makes a difference far larger than a busy machine does."""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from duet_tools.link.emulator import LinkEmulator, ListenFailed, parse_address
from duet_tools.link.profiles import Direction, LinkProfile
from duet_tools.link.timeline import LinkChange, Timeline
from tests.doubles.tcp import echo, read_all, serving


def link(up: Direction | None = None, down: Direction | None = None) -> LinkProfile:
    return LinkProfile("test", up or Direction(), down or Direction(), "a test")


def connect(address: str) -> socket.socket:
    return socket.create_connection(parse_address(address), timeout=60)


def exchange(address: str, data: bytes) -> bytes:
    with connect(address) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def with_answer(address: str) -> bytes:
    with connect(address) as client:
        return client.recv(1)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_bytes_pass_unchanged_and_are_counted() -> None:
    data = bytes(range(256)) * 2000
    with serving(echo) as target, LinkEmulator(target, link()) as emulator:
        assert exchange(emulator.address, data) == data
        assert exchange(emulator.address, b"more") == b"more"
        wait_for(lambda: emulator.count.down == len(data) + 4)
        assert (emulator.count.up, emulator.count.down) == (len(data) + 4, len(data) + 4)
        assert emulator.count.connections == 2


def test_many_connections_at_once_get_their_own_bytes() -> None:
    slow = Direction(rate_bit_s=20e6, delay_ms=2, jitter_ms=2)
    answers: dict[int, bytes] = {}
    with serving(echo) as target, LinkEmulator(target, link(slow, slow)) as emulator:
        threads = [
            threading.Thread(
                target=lambda n: answers.__setitem__(
                    n, exchange(emulator.address, b"%d" % n * 3000)
                ),
                args=(number,),
            )
            for number in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {number: b"%d" % number * 3000 for number in range(16)}


def test_connecting_and_the_first_answer_take_two_round_trips_and_the_next_one() -> None:
    way = Direction(delay_ms=100)
    with serving(echo) as target, LinkEmulator(target, link(way, way)) as emulator:
        began = time.perf_counter()
        with connect(emulator.address) as client:
            client.sendall(b"a")
            client.recv(1)
            cold = time.perf_counter() - began
            times: list[float] = []
            # A busy machine only adds to them.
            while len(times) < 3 or (min(times) >= cold - 0.1 and len(times) < 50):
                began = time.perf_counter()
                client.sendall(b"b")
                client.recv(1)
                times.append(time.perf_counter() - began)
            kept = min(times)
    assert cold >= 0.398
    assert 0.198 <= kept < cold - 0.1


def test_the_same_seed_delays_each_connection_alike_and_another_seed_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[list[float]] = []

    class Draws(random.Random):
        def uniform(self, a: float, b: float) -> float:
            self.drawn.append(super().uniform(a, b))
            return self.drawn[-1]

        def __init__(self, seed: str) -> None:
            super().__init__(seed)
            self.drawn: list[float] = []
            drawn.append(self.drawn)

    monkeypatch.setattr("duet_tools.link.connection.random", SimpleNamespace(Random=Draws))
    jittery = Direction(delay_ms=50, jitter_ms=50)

    def delays(seed: int) -> list[list[float]]:
        drawn.clear()
        took = []
        with (
            serving(echo) as target,
            LinkEmulator(target, link(down=jittery), seed=seed) as emulator,
        ):
            for _ in range(2):
                with connect(emulator.address) as client:
                    for _ in range(4):
                        began = time.perf_counter()
                        client.sendall(b"a")
                        client.recv(1)
                        took.append(time.perf_counter() - began)
        # Of each connection's two directions, one has jitter.
        found = [each[:4] for each in drawn if each]
        # A busy machine adds some.
        for seconds, ms in zip(took, (ms for each in found for ms in each), strict=True):
            assert seconds >= (50 + ms) / 1e3 - 0.002
        return found

    first, again, other = delays(7), delays(7), delays(8)
    assert first == again
    assert first != other
    assert first[0] != first[1]


def test_a_rate_bounds_what_passes_in_its_direction_alone() -> None:
    def took(settings: LinkProfile) -> float:
        with serving(echo) as target, LinkEmulator(target, settings) as emulator:
            began = time.perf_counter()
            assert len(exchange(emulator.address, b"x" * 20_000)) == 20_000
            return time.perf_counter() - began

    assert took(link(up=Direction(rate_bit_s=400e3))) >= 0.39
    # Once of many times, since a busy machine may be as slow as the rate.
    assert any(took(link()) < 0.39 for _ in range(50))


def test_a_reset_is_seen_as_one() -> None:
    settings = link(up=Direction(reset_after_bytes=3))
    with (
        serving(echo) as target,
        LinkEmulator(target, settings) as emulator,
        connect(emulator.address) as client,
    ):
        client.sendall(b"abcdef")
        with pytest.raises(ConnectionResetError):
            read_all(client)


def test_a_target_that_is_not_there_looks_like_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        target = "{}:{}".format(*closed.getsockname())
    # On a link without delay the reset may come while the client is still connecting.
    with LinkEmulator(target, link()) as emulator, pytest.raises(ConnectionResetError):
        with_answer(emulator.address)


def test_a_reset_by_the_server_reaches_the_client() -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with (
        serving(reset) as target,
        LinkEmulator(target, link()) as emulator,
        connect(emulator.address) as client,
    ):
        client.sendall(b"a")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_timeline_changes_the_link_while_connections_stay() -> None:
    timeline = Timeline((LinkChange(0.3, rtt_ms=300),))
    with (
        serving(echo) as target,
        LinkEmulator(target, link(), timeline=timeline) as emulator,
        connect(emulator.address) as client,
    ):
        client.sendall(b"a")
        client.recv(1)
        wait_for(lambda: emulator.link.rtt_ms == 300)
        began = time.perf_counter()
        client.sendall(b"b")
        client.recv(1)
        assert time.perf_counter() - began >= 0.298


@pytest.mark.parametrize("ending", ["cut", "reset"])
def test_a_timeline_ends_connections(ending: str) -> None:
    timeline = Timeline((LinkChange(0.5, end=ending),))  # type: ignore[arg-type]
    with (
        serving(echo) as target,
        LinkEmulator(target, link(), timeline=timeline) as emulator,
        connect(emulator.address) as client,
    ):
        if ending == "cut":
            assert client.recv(1) == b""
        else:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        assert exchange(emulator.address, b"again") == b"again"


def test_a_half_closed_connection_still_carries_the_answer() -> None:
    def answer_at_end(connection: socket.socket) -> None:
        connection.sendall(b"%d" % len(read_all(connection)))

    way = Direction(delay_ms=5)
    with serving(answer_at_end) as target, LinkEmulator(target, link(way, way)) as emulator:
        assert exchange(emulator.address, b"x" * 12345) == b"12345"


def test_leaving_ends_connections_that_are_open() -> None:
    with serving(echo) as target:
        with LinkEmulator(target, link()) as emulator:
            client = connect(emulator.address)
            client.sendall(b"a")
            assert client.recv(1) == b"a"
        with client:
            assert client.recv(1) == b""


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        with pytest.raises(ListenFailed, match="cannot listen on 127.0.0.1") as caught:
            LinkEmulator("127.0.0.1:1", link(), listen=address).__enter__()
    assert caught.value.exit_code == 3
