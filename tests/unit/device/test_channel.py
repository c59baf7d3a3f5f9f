"""A channel's connection is its own."""

from contextlib import ExitStack

from duet_contract.connections import wait_until_connected
from duet_device.identity.channel import open_channel
from duet_tools.link.relay import Relay
from tests.doubles.service import ScriptedService, reasons


def test_no_channel_takes_over_the_connection_of_another() -> None:
    with ScriptedService(reasons(), "pair@1.0.0") as service, ExitStack() as stack:
        port = int(service.address.rpartition(":")[2])
        proxy = stack.enter_context(Relay(f"127.0.0.1:{port}"))
        for _ in range(3):
            channel = stack.enter_context(open_channel(f"127.0.0.1:{proxy.port}"))
            assert wait_until_connected(channel, 5)
        assert proxy.count.connections == 3
