"""The bench's count of bytes against an independent capture of the same connections."""

import threading
from pathlib import Path
from typing import Any

import pytest

from duet_contract.channels import Pem, tls_credentials
from duet_contract.manifest import Manifest
from duet_device.settings import Settings
from duet_tools.link.profiles import link_named
from duet_tools.split.link_pool import LinkPool
from duet_tools.split.modes.base import ModeSettings
from duet_tools.split.modes.split import receive
from tests.doubles.capture import captured, payload
from tests.doubles.manifests import manifest_data
from tests.doubles.service import ScriptedService, reasons, self_signed


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
        client = tls_credentials(Pem.read(certificate))
    asking = ModeSettings(manifest, 40, 0.0, 0, 30.0, 5.0, 1, client)
    with (
        ScriptedService(reasons("so it is " * 40), manifest.reference, server) as service,
        LinkPool() as pool,
    ):
        port = int(service.address.rpartition(":")[2])
        file = tmp_path / "capture.pcap"
        with captured(port, file), pool.open(service.address, link_named(link), seed=0) as way:
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
