"""Logs and metrics of calls that the auth interceptor refuses, and of whose question was served."""

import asyncio
import contextlib
import json
import time

import pytest
from prometheus_client import CollectorRegistry, Counter

from duet_cloud import logs
from duet_cloud.identity.access import AccessFile
from duet_cloud.identity.refusals import Refusals
from duet_cloud.log_limit import MOST_LINES, WINDOW_S
from duet_cloud.status import unauthenticated
from duet_contract.v1.control_pb2 import GetCapacityRequest
from tests.doubles import identities
from tests.doubles.clock import SteppedClock


def events(capfd, name):
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    return [event for event in map(json.loads, lines) if event["event"] == name]


async def test_each_reason_is_logged_with_its_device_and_counted(secure, refused, capfd, tmp_path):
    authority, quotas = secure.authority, secure.server.security._quotas
    unknown = secure.connect(identities.device(authority, "unknown", register=False))
    revoked = secure.connect(identities.device(authority, "revoked"))
    authority.registry.revoke("revoked", int(time.time()))
    limited = secure.connect(identities.device(authority, "limited"))
    access = tmp_path / "access.toml"
    capfd.readouterr()
    for client in (unknown, revoked, revoked):
        await refused(client.ask())
    await refused(limited.control.GetCapacity(GetCapacityRequest()))
    for limit in ("rate", "concurrency", "tokens"):
        access.write_text(f"[limits.default]\n{limit} = 0\n")
        quotas._access = AccessFile(access)
        await refused(limited.ask())
    told = {(event["reason"], event["device"]) for event in events(capfd, "refused")}
    expected = {("unknown", ""), ("revoked", "revoked")}
    assert told == expected | {
        (reason, "limited") for reason in ("wrong_role", "rate", "concurrency", "tokens")
    }
    value = secure.server.metrics.registry.get_sample_value
    for reason, _ in told:
        count = 2 if reason == "revoked" else 1
        assert value("duet_refused_total", {"reason": reason}) == count


async def test_a_question_is_logged_with_the_device_that_asked(secure, capfd):
    await secure.connect(identities.device(secure.authority, "desk")).ask()
    (event,) = events(capfd, "reasoned")
    assert event["device"] == "desk"


@pytest.fixture
def clock():
    return SteppedClock()


def test_who_knocks_on_and_on_does_not_fill_the_log(capfd, clock):
    logs.configure("json")
    counter = Counter("refused", "", ["reason"], registry=CollectorRegistry())
    refusals = Refusals(counter, clock)
    for _ in range(1000):
        refusals.report(unauthenticated("revoked", "REVOKED", "laptop"), "/a/b")
    assert len(events(capfd, "refused")) == 1
    for number in range(1000):
        refusals.report(unauthenticated("revoked", "REVOKED", f"device-{number}"), "/a/b")
    assert len(events(capfd, "refused")) == MOST_LINES - 1
    clock.ahead += WINDOW_S
    refusals.report(unauthenticated("revoked", "REVOKED", "laptop"), "/a/b")
    (event,) = events(capfd, "refused")
    assert event["left_out"] == 1000 - (MOST_LINES - 1)
    assert counter.labels("revoked")._value.get() == 2001


async def test_connections_that_do_not_speak_tls_do_not_fill_the_log(secure, capfd):
    for port in (secure.port, secure.enrollment_port):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)), b"\x16\x03\x01\xff\xff") * 3:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(0.2):
                    await reader.read()
            writer.close()
    # It serves on, and says nothing of them.
    await secure.connect(identities.device(secure.authority, "desk")).ask()
    assert "andshake" not in capfd.readouterr().err
