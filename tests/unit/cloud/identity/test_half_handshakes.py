"""TLS handshakes that never finish are closed, at the service's port as at enrollment's."""

import pytest

from duet_cloud import server as server_module
from duet_cloud.identity import enrollment
from tests.doubles.unread import HALF_A_HELLO, closes


@pytest.fixture
def secure_options(secure_options, monkeypatch):
    for module, name in ((server_module, "_CHANNEL_OPTIONS"), (enrollment, "_SERVER_OPTIONS")):
        arguments = dict(getattr(module, name))
        # What it is without being set is two minutes.
        assert arguments["grpc.server_handshake_timeout_ms"] == 10_000
        arguments["grpc.server_handshake_timeout_ms"] = 700
        monkeypatch.setattr(module, name, tuple(arguments.items()))
    return secure_options


@pytest.mark.parametrize("data", [b"", HALF_A_HELLO], ids=["nothing", "half a hello"])
async def test_each_port_closes_them(secure, data):
    for port in (secure.port, secure.enrollment_port):
        await closes(port, data)
