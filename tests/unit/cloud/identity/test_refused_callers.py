"""Whoever must not get in, one test each; over real TLS."""

import asyncio
import ssl
import time
from types import SimpleNamespace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from duet_cloud.identity import callers
from duet_cloud.identity.certificates import key_pem, pem
from duet_cloud.identity.database import DatabaseError
from duet_cloud.status import Refusal
from duet_contract.channels import open_aio_channel
from duet_contract.v1.control_pb2 import GetCapacityRequest
from duet_contract.v1.enrollment_pb2 import EnrollRequest
from tests.doubles import identities
from tests.doubles.unread import until

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED


async def test_no_client_certificate(secure, refused):
    error = await refused(secure.connect(None).ask())
    assert error.code() == UNAVAILABLE
    assert not secure.engine.jobs


async def test_plaintext(secure, refused):
    async with open_aio_channel(f"127.0.0.1:{secure.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        error = await refused(health.Check(health_pb2.HealthCheckRequest()))
    assert error.code() == UNAVAILABLE


async def test_a_certificate_of_another_authority(secure, tmp_path, refused):
    other = identities.make_authority(tmp_path / "other")
    error = await refused(secure.connect(identities.device(other)).ask())
    assert error.code() == UNAVAILABLE


async def test_an_expired_certificate(secure, refused):
    pair = identities.device(secure.authority, begins=-2, ends=-1)
    assert (await refused(secure.connect(pair).ask())).code() == UNAVAILABLE


async def test_a_certificate_that_is_not_valid_yet(secure, refused):
    pair = identities.device(secure.authority, begins=1, ends=2)
    assert (await refused(secure.connect(pair).ask())).code() == UNAVAILABLE


async def test_a_self_signed_certificate(secure, refused):
    error = await refused(secure.connect(identities.self_signed()).ask())
    assert error.code() == UNAVAILABLE


async def test_the_servers_own_certificate_is_no_devices(secure, refused):
    content = (secure.authority.directory / "server.pem").read_bytes()
    error = await refused(secure.connect(identities.KeyPair(content, content)).ask())
    assert error.code() == UNAVAILABLE


async def test_the_authoritys_certificate_is_no_devices(secure, refused):
    authority = secure.authority
    pair = identities.KeyPair(key_pem(authority.key), pem(authority.certificate))
    error = await refused(secure.connect(pair).ask())
    assert error.code() in (UNAVAILABLE, UNAUTHENTICATED)


async def test_a_certificate_that_is_not_in_the_registry(secure, refused):
    pair = identities.device(secure.authority, register=False)
    error = await refused(secure.connect(pair).ask())
    assert error.code() == UNAUTHENTICATED
    assert "registry" in error.details()


async def test_revoked_on_an_open_connection(secure, refused):
    client = secure.connect(identities.device(secure.authority))
    await client.ask()
    secure.authority.registry.revoke("laptop", int(time.time()))
    assert (await refused(client.ask())).code() == UNAUTHENTICATED


@pytest.mark.parametrize("stuck", [False, True])
async def test_revoked_while_a_call_runs(secure, refused, stuck):
    """Ends soon, between tokens and while it waits for one; others continue."""
    secure.engine.pause_s = 30.0 if stuck else 0.2
    secure.engine.script = list(range(100, 1000))
    laptop = secure.connect(identities.device(secure.authority))
    phone = secure.connect(identities.device(secure.authority, "phone"))
    revoked, other = (
        asyncio.create_task(laptop.ask(budget=40)),
        asyncio.create_task(phone.ask(budget=10)),
    )
    while secure.engine.running < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    secure.authority.registry.revoke("laptop", int(time.time()))
    error = await refused(revoked)
    assert error.code() == UNAUTHENTICATED
    assert "revoked" in error.details()
    assert secure.engine.aborted == 1
    if stuck:
        other.cancel()
    else:
        assert await other == 10


async def test_a_health_watch_ends_when_revoked(secure, refused):
    client = secure.connect(identities.device(secure.authority))
    health = health_pb2_grpc.HealthStub(client.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    secure.authority.registry.revoke("laptop", int(time.time()))
    assert (await refused(watch.read())).code() == UNAUTHENTICATED


async def test_ended_on_an_open_connection(secure, refused, monkeypatch):
    client = secure.connect(identities.device(secure.authority))
    await client.ask()
    monkeypatch.setattr(callers, "time", SimpleNamespace(time=lambda: time.time() + 2 * 86400))
    error = await refused(client.ask())
    assert error.code() == UNAUTHENTICATED
    assert "expired" in error.details()


async def test_ended_while_a_call_runs(secure, refused, monkeypatch):
    secure.engine.pause_s = 30.0
    running = asyncio.create_task(secure.connect(identities.device(secure.authority)).ask())
    while not secure.engine.running:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    monkeypatch.setattr(callers, "time", SimpleNamespace(time=lambda: time.time() + 2 * 86400))
    assert "expired" in (await refused(running)).details()


async def test_control_does_not_ask(secure, refused):
    client = secure.connect(identities.device(secure.authority, "ops", ("control",)))
    assert (await client.control.GetCapacity(GetCapacityRequest())).max_running == 16
    error = await refused(client.ask())
    assert error.code() == PERMISSION_DENIED
    assert "role control, this needs inference" in error.details()
    assert not secure.engine.jobs


async def test_inference_does_not_control(secure, refused):
    client = secure.connect(identities.device(secure.authority))
    error = await refused(client.control.GetCapacity(GetCapacityRequest()))
    assert error.code() == PERMISSION_DENIED


async def test_a_role_taken_away_counts_at_once(secure, refused):
    client = secure.connect(identities.device(secure.authority))
    await client.ask()
    secure.authority.registry.invite("laptop", ("control",), b"x", 0, 0)
    assert (await refused(client.ask())).code() == PERMISSION_DENIED


async def test_a_role_taken_away_while_a_call_runs(secure, refused):
    secure.engine.pause_s = 30.0
    running = asyncio.create_task(secure.connect(identities.device(secure.authority)).ask())
    while not secure.engine.running:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    secure.authority.registry.invite("laptop", ("control",), b"x", 0, 0)
    assert (await refused(running)).code() == PERMISSION_DENIED
    assert secure.engine.aborted == 1


async def test_another_device_of_the_name_enrols_while_a_call_runs(secure, refused):
    secure.engine.pause_s = 30.0
    running = asyncio.create_task(secure.connect(identities.device(secure.authority)).ask())
    while not secure.engine.running:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    request = EnrollRequest(secret=b"x" * 16, signing_request=identities.signing_request())
    secure.authority.registry.invite(
        "laptop", ("inference",), request.secret, 0, int(time.time()) + 60
    )
    await secure.enrollment.Enroll(request)
    error = await refused(running)
    assert error.code() == UNAUTHENTICATED
    assert "revoked" in error.details()
    assert secure.engine.aborted == 1


@pytest.mark.parametrize("port", ["port", "enrollment_port"])
async def test_tls_below_13(secure, port):
    pair = identities.device(secure.authority)
    number = getattr(secure, port)
    await asyncio.to_thread(identities.tls, number, ssl.TLSVersion.TLSv1_3, pair)
    # OpenSSL itself offers nothing below 1.2 any more.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(identities.tls, number, ssl.TLSVersion.TLSv1_2, pair)


async def test_tls_below_13_is_refused_by_the_authorizer_too():
    """Should gRPC's environment ever be set otherwise."""
    with pytest.raises(Refusal, match=r"TLSv1\.3 is required"):
        callers._certificate({"ssl_tls_version": [b"TLSv1.2"], "x509_pem_cert": [b""]})


async def test_a_registry_that_cannot_be_read_admits_nobody_and_is_tried_again(
    secure, refused, monkeypatch
):
    client = secure.connect(identities.device(secure.authority))
    secure.engine.pause_s = 30.0
    running = asyncio.create_task(client.ask())
    while not secure.engine.running:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    registry = secure.server.security.authorizer._callers._registry

    reads = 0

    def broken(*_):
        nonlocal reads
        reads += 1
        raise DatabaseError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "certificate", broken)
        patch.setattr(registry, "certificates", broken)
        assert (await refused(client.ask())).code() == UNAVAILABLE
        secure.authority.registry.revoke("laptop", int(time.time()))
        before = reads
        await until(lambda: reads > before + 2)
        assert not running.done()
    assert (await refused(running)).code() == UNAUTHENTICATED
