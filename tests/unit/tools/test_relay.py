"""The counting proxy, over real loopback sockets."""

import socket
import time
from collections.abc import Iterator

import pytest

from duet_tools.link.emulator import parse_address
from duet_tools.link.relay import Count, Relay
from tests.doubles.tcp import read_all, serving


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of a server that answers every byte with two, until its client is done."""

    def answer(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            connection.sendall(data * 2)

    with serving(answer) as address:
        yield parse_address(address)[1]


def until(proxy: Relay, expected: Count) -> None:
    end = time.monotonic() + 60
    while proxy.count != expected and time.monotonic() < end:
        time.sleep(0.01)
    assert proxy.count == expected


def test_passes_both_ways_and_counts_each(echo: int) -> None:
    with Relay(f"127.0.0.1:{echo}") as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"hellohello"
        until(proxy, Count(up=5, down=10, connections=1))


def test_nobody_behind_it_ends_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with (
        Relay(f"127.0.0.1:{port}") as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client,
    ):
        assert read_all(client) == b""


def test_closing_the_proxy_ends_what_is_open(echo: int) -> None:
    with Relay(f"127.0.0.1:{echo}") as proxy:
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=60)
        client.sendall(b"a")
        assert client.recv(2) == b"aa"
    with client:
        assert client.recv(1) == b""
