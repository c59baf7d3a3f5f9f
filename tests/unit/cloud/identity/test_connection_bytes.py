"""What a connection with mutual TLS costs on the wire, and that one is enough for many calls."""

import asyncio
import itertools

import grpc

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
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


async def test_a_kept_connection_shakes_hands_once(secure):
    credentials = identities.device(secure.authority).credentials(secure.roots)
    counts = []
    with Relay(f"127.0.0.1:{secure.port}") as proxy:
        async with open_aio_channel(proxy.address, credentials) as channel:
            for _ in range(4):
                call = InferenceServiceStub(channel).Reason(ReasonRequest(question="What?"))
                assert [response async for response in call][-1].end.signal_tokens == 10
                counts.append(await settled(proxy))
    assert counts[-1].connections == 1
    # Behind the first question, which also teaches both sides' header compression.
    _, *later = itertools.pairwise(counts)
    for before, after in later:
        asked = after - before
        assert asked.up < 400
        assert asked.down < 1000
