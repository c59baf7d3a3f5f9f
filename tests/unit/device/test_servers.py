"""Connections to several servers, and channels that questions share."""

import socket
import time
from collections.abc import Callable
from functools import partial

import grpc
import pytest

from duet_contract.connections import connection_states
from duet_device.errors import Interrupted
from duet_device.identity.channel import open_channel
from duet_device.link_errors import Kind
from duet_device.servers import NotConnected, Server, by_preference, connect
from tests.doubles.cloud import ScriptedCloud, says
from tests.doubles.tcp import NOWHERE, serving


def server(address: str) -> Server:
    return Server(address, partial(open_channel, address))


def is_closed(channel: grpc.Channel) -> bool:
    return next(connection_states(channel), None) is None


def silent(connection: socket.socket) -> None:
    """Accepts, and says nothing."""
    while connection.recv(1 << 16):
        pass


def nothing() -> None:
    """No check ends the attempt."""


def test_a_silent_server_costs_a_quarter_of_a_second() -> None:
    with serving(silent) as address, ScriptedCloud(says()) as cloud:
        first, second = server(address), server(cloud.address)
        began = time.monotonic()
        connected = connect([first, second], 60.0, nothing)
        assert 0.2 < time.monotonic() - began < 30
        assert connected.server is second
        assert not connected.failures
        assert by_preference([first, second]) == [second, first]
        second.release(connected.channel)
        for each in (first, second):
            each.close()


def test_a_server_that_refuses_costs_nothing_and_is_avoided() -> None:
    with ScriptedCloud(says()) as cloud:
        gone = server(NOWHERE)
        there = server(cloud.address)
        connected = connect([gone, there], 60.0, nothing)
        assert connected.server is there
        assert connected.failures[gone].kind is Kind.UNREACHED
        assert by_preference([gone, there]) == [there, gone]
        assert not cloud.requests
        there.release(connected.channel)
        there.close()


def test_each_server_has_its_time_and_its_reason() -> None:
    with serving(silent) as address:
        mute, gone = server(address), server(NOWHERE)
        with pytest.raises(NotConnected) as caught:
            connect([mute, gone], 0.4, nothing)
    assert "no link within 0.4 s" in str(caught.value.failures[mute].error)
    assert "no cloud at" in str(caught.value.failures[gone].error)


def test_a_check_ends_the_attempt_and_leaves_nothing_in_use() -> None:
    def stop() -> None:
        raise Interrupted("interrupted")

    with serving(silent) as address:
        one = server(address)
        checks: list[Callable[[], None]] = [nothing, nothing, stop]
        with pytest.raises(Interrupted):
            connect([one], 5.0, lambda: checks.pop(0)())
        channel = one.acquire()
        one.release(channel, failed=True)
        assert is_closed(channel)


def test_a_failed_channel_is_closed_when_no_one_uses_it() -> None:
    with ScriptedCloud(says()) as cloud:
        shared = server(cloud.address)
        first, second = shared.acquire(), shared.acquire()
        assert first is second
        shared.release(first, failed=True)
        assert not is_closed(second)
        assert shared.is_avoided
        third = shared.acquire()
        assert third is not second
        shared.release(second)
        assert is_closed(second)
        shared.release(third)
        assert not is_closed(third)
        shared.close()
        assert is_closed(third)


def test_a_given_channel_is_never_closed() -> None:
    with ScriptedCloud(says()) as cloud, open_channel(cloud.address) as channel:
        given = Server("given", channel=channel)
        given.release(given.acquire(), failed=True)
        given.close()
        assert given.acquire() is channel
        assert not is_closed(channel)
    with pytest.raises(NotConnected) as caught:
        connect([given], 5.0, nothing)
    assert caught.value.failures[given].kind is Kind.REFUSED
