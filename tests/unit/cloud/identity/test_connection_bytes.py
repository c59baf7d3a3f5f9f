"""What a connection with mutual TLS costs on the wire."""

import asyncio

import grpc

from duet_contract.channels import open_aio_channel
from duet_tools.link.relay import Count, Relay
from duet_tools.tls import MOST_DOWN, MOST_UP
from tests.doubles import identities

# As `duet-cloud admin init` names a server: what it is usually called, and one more.
HOSTS = "localhost,127.0.0.1,::1,compute-7,gpu.example.org"


async def settled(proxy: Relay) -> Count:
    """What passed, once nothing more comes: session tickets follow the handshake."""
    before = Count()
    while proxy.count != before:
        before = proxy.count
        await asyncio.sleep(0.2)
    return before


async def until_ready(port: int, credentials: grpc.ChannelCredentials | None) -> Count:
    """Bytes until a connection is established."""
    with Relay(f"127.0.0.1:{port}") as proxy:
        async with open_aio_channel(proxy.address, credentials) as channel:
            await channel.channel_ready()
            return await settled(proxy)


async def test_a_handshake(secure, cloud):
    secure.authority.registry.set("hosts", HOSTS)
    secure.authority.issue_server()
    secure.server.security._credentials.refresh()
    pair = identities.device(secure.authority, "laptop-of-the-lab")
    secured = await until_ready(secure.port, pair.credentials(secure.roots))
    plain = await until_ready(cloud.server.port, None)
    handshake = secured - plain
    # Both certificates are in it, and the proof of both keys.
    assert 1500 < handshake.up <= MOST_UP
    assert 1500 < handshake.down <= MOST_DOWN
