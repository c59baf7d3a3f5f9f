"""The bench's count of bytes against an independent capture of the same connections."""

import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from device.settings import Settings
from duet_contract.manifest import Manifest
from tests.doubles.manifests import manifest_data
from tests.doubles.service import ScriptedService, reasons, self_signed
from tools.link.profiles import link_named
from tools.split.modes.base import Asking
from tools.split.modes.split import receive
from tools.split.wire import Ways


def may_capture() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except (AttributeError, OSError):
        return False
    return shutil.which("tcpdump") is not None


pytestmark = pytest.mark.skipif(not may_capture(), reason="needs tcpdump and the right to capture")


@contextmanager
def captured(port: int, file: Path) -> Iterator[None]:
    """Everything that passes over the loopback interface from or to a TCP port."""
    command = ["tcpdump", "-i", "lo", "-U", "-s", "128", "-w", str(file), f"tcp port {port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr
        for line in process.stderr:
            if b"listening on" in line:
                break
        try:
            yield
            # The kernel hands packets over in blocks.
            time.sleep(1.2)
        finally:
            process.terminate()


def payload(file: Path, port: int) -> tuple[int, int]:
    """Bytes of TCP payload to and from a port in a capture (pcap, Ethernet, IPv4)."""
    data = file.read_bytes()
    assert struct.unpack("<I", data[:4])[0] == 0xA1B2C3D4
    to = back = 0
    place = 24
    while place < len(data):
        size = struct.unpack("<I", data[place + 8 : place + 12])[0]
        packet = data[place + 16 + 14 : place + 16 + size]
        place += 16 + size
        header = (packet[0] & 15) * 4
        length = struct.unpack(">H", packet[2:4])[0]
        destination = struct.unpack(">H", packet[header + 2 : header + 4])[0]
        carried = length - header - (packet[header + 12] >> 4) * 4
        if destination == port:
            to += carried
        else:
            back += carried
    return to, back


@pytest.mark.parametrize("link", ["none", "lan"])
@pytest.mark.parametrize("tls", [False, True])
def test_bytes_agree_with_a_capture(link: str, tls: bool, tmp_path: Path) -> None:
    import grpc

    data: dict[str, Any] = manifest_data()
    manifest = Manifest.model_validate(data)
    server = client = None
    if tls:
        key, certificate = self_signed(tmp_path)
        server = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
        client = grpc.ssl_channel_credentials(certificate.read_bytes())
    asking = Asking(manifest, 40, 0.0, 0, 30.0, 5.0, 1, client)
    with (
        ScriptedService(reasons("so it is " * 40), manifest.reference, server) as service,
        Ways() as ways,
    ):
        port = int(service.address.rpartition(":")[2])
        file = tmp_path / "capture.pcap"
        with captured(port, file), ways.open(service.address, link_named(link), seed=0) as way:
            for _ in range(3):
                settings = Settings(server=way.address, budget=39, connect_timeout=5)
                receive("What is it?", asking, settings, threading.Event())
            way.settle(100.0)
            counted = way.taken()
        to, back = payload(file, port)
    assert to > 500
    assert back > 500
    assert counted.up == pytest.approx(to, rel=0.01)
    assert counted.down == pytest.approx(back, rel=0.01)
