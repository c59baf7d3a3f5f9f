"""The one door for channels: proxies, limits, and what gRPC is given as certificates and keys."""

import datetime
import os
import socket
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from duet_contract.channels import Pem, open_aio_channel, open_channel, tls_credentials
from duet_contract.connections import wait_until_connected
from duet_contract.errors import AddressError, CertificateExpired, TransportError
from tests.doubles.cloud import ScriptedCloud, says
from tests.doubles.tcp import serving

DAY = datetime.timedelta(days=1)


def certified(begins: float = -1, ends: float = 1) -> tuple[Pem, Pem]:
    """A certificate, valid from and to so many days from now, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now + begins * DAY)
        .not_valid_after(now + ends * DAY)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Pem(pem, "cert.pem"), Pem(plain, "key.pem")


def test_good_certificates_and_keys() -> None:
    certificate, key = certified()
    assert isinstance(tls_credentials(certificate), grpc.ChannelCredentials)
    assert isinstance(tls_credentials(certificate, certificate, key), grpc.ChannelCredentials)


def bad_pem(good: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "blank": b" \n",
        "cut": good[: len(good) // 2],
        "random": bytes(range(256)),
        "other": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "garbage inside": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }


@pytest.mark.parametrize(
    ("place", "kind"), list(product(("authority", "certificate", "key"), bad_pem(b"")))
)
def test_malformed_bytes_are_refused_by_name(place: str, kind: str) -> None:
    certificate, key = certified()
    given = {"authority": certificate, "certificate": certificate, "key": key}
    given[place] = Pem(bad_pem(given[place].data)[kind], f"{place}.pem")
    with pytest.raises(TransportError, match=rf"{place}\.pem") as caught:
        tls_credentials(**given)
    assert "\n" not in str(caught.value)


def test_a_key_of_another_certificate() -> None:
    certificate, _ = certified()
    _, other = certified()
    with pytest.raises(TransportError, match=r"key\.pem is not the key of .* cert\.pem"):
        tls_credentials(certificate, certificate, other)


def test_an_encrypted_key() -> None:
    certificate, key = certified()
    private = serialization.load_pem_private_key(key.data, None)
    encrypted = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(TransportError, match="encrypted"):
        tls_credentials(certificate, certificate, Pem(encrypted, "key.pem"))


@pytest.mark.parametrize(
    ("begins", "ends", "why"), [(-2, -1, "expired on"), (1, 2, "is this machine's clock right")]
)
def test_a_certificate_at_another_time(begins: float, ends: float, why: str) -> None:
    certificate, key = certified(begins, ends)
    good, _ = certified()
    with pytest.raises(CertificateExpired, match=why):
        tls_credentials(good, certificate, key)
    with pytest.raises(CertificateExpired, match=why):
        tls_credentials(certificate)


def test_a_certificate_without_its_key() -> None:
    certificate, key = certified()
    for half in ({"certificate": certificate}, {"key": key}):
        with pytest.raises(TransportError, match="belong together"):
            tls_credentials(certificate, **half)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"cannot read .*none\.pem"):
        Pem.read(tmp_path / "none.pem")


async def test_what_is_no_address() -> None:
    for open_any in (open_channel, open_aio_channel):
        with pytest.raises(AddressError):
            open_any("::1:50151")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_channel_to_this_machine_asks_no_proxy(host: str) -> None:
    """gRPC reads the variables in C, when the channel is made: a process of its own sets them."""
    program = """
import asyncio, sys
from duet_contract.channels import open_aio_channel, open_channel
from duet_contract.connections import wait_until_connected
async def connects():
    async with open_aio_channel(sys.argv[1]) as channel:
        await asyncio.wait_for(channel.channel_ready(), 60)
with open_channel(sys.argv[1]) as channel:
    assert wait_until_connected(channel, 5)
asyncio.run(connects())
"""
    with ScriptedCloud(says()) as cloud:
        address = cloud.address.replace("127.0.0.1", host)
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:9")
        subprocess.run(
            [sys.executable, "-c", program, address],
            env={**os.environ, **proxies, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            timeout=60,
        )


def test_waiting_for_a_connection() -> None:
    with ScriptedCloud(says()) as cloud, open_channel(cloud.address) as channel:
        assert wait_until_connected(channel, 5)
        assert wait_until_connected(grpc.intercept_channel(channel), 5)
    assert not wait_until_connected(channel, 5)
    with open_channel(cloud.address) as channel:
        assert not wait_until_connected(channel, 0.1)


@pytest.mark.parametrize("code", [0, 11, 13, 14, 70_007, 2**32 - 1])
def test_no_goaway_frame_ends_the_process(code: int) -> None:
    """gRPC 1.84 and 1.85 abort (http2_status.h:264) at a code whose last byte is 13 to 254.

    HTTP_1_1_REQUIRED is 13, and Apache's HTTP server sends 70007. A process of its own asks.
    """
    payload = bytes(4) + code.to_bytes(4, "big")
    goaway = len(payload).to_bytes(3, "big") + b"\x07" + bytes(5) + payload

    def handle(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # SETTINGS
        # gRPC 1.84 and 1.85 survive what comes before they count the connection as ready.
        time.sleep(0.1)
        connection.sendall(goaway)
        connection.recv(1 << 16)

    program = """
import sys
import grpc
from duet_contract.channels import open_channel
with open_channel(sys.argv[1]) as channel:
    try:
        list(channel.unary_stream("/a/b")(b"", timeout=60))
    except grpc.RpcError as error:
        print(error.details())
"""
    with serving(handle) as address:
        ended = subprocess.run(
            [sys.executable, "-c", program, address],
            env={
                **os.environ,
                "GRPC_VERBOSITY": "error",
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert ended.returncode == 0, ended.stderr
    assert f"GOAWAY received; Error code: {code}" in ended.stdout
