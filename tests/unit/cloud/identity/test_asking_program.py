"""A program that asks over mutual TLS: renewed identities, connections that are used again."""

import asyncio
from functools import partial

import pytest

from duet_cloud.identity.authority import invite
from duet_contract.manifest import load_manifest
from duet_device.client import Client
from duet_device.events import Note, Result
from duet_device.identity.channel import open_channel
from duet_device.identity.credentials import load_identity
from duet_device.identity.enrollment import enroll
from duet_device.pairs.pair import Pair
from duet_tools.link.relay import Relay
from tests.doubles import identities
from tests.doubles.decoder import ScriptedDecoder, answering


@pytest.fixture
def ask(toy_pair):
    """Answers a question with a client of its own; the receipt."""
    pair = Pair(toy_pair, load_manifest(toy_pair))

    def answer(server, notes=None, **options):
        decoder = ScriptedDecoder(answering("yes", "klm"))
        client = Client(
            pair, server=server, decoder=decoder, require_cloud=True, temperature=0.0, **options
        )
        with client:
            events = list(client.stream("What?"))
        (notes if notes is not None else []).extend(
            event.text for event in events if isinstance(event, Note)
        )
        return next(event.receipt for event in events if isinstance(event, Result))

    async def go(*arguments, **options):
        return await asyncio.to_thread(partial(answer, *arguments, **options))

    return go


@pytest.fixture
def identity(secure, tmp_path, monkeypatch):
    """Enroll this process and return the stored identity."""
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUET_PASSPHRASE", "correct horse battery")
    cost = {"iterations": 1, "lanes": 1, "memory_kib": 64}
    monkeypatch.setattr("duet_device.vault.vault._ARGON2", cost)
    authority = secure.authority
    code = invite(authority.certificate, authority.registry, "laptop", ["inference"], 1.0)

    async def go():
        server = f"localhost:{secure.enrollment_port}"
        return (await asyncio.to_thread(enroll, server, str(code))).identity

    return go


async def test_an_answer_renews_the_identity_that_it_used(secure, ask, identity, monkeypatch):
    before = await identity()
    await ask(before.server)
    assert load_identity(before.server) == before
    monkeypatch.setattr("duet_device.identity.credentials.RENEW_AFTER", 0.0)
    await ask(before.server, credentials=before.credentials())
    with open_channel(before.server) as channel:
        await ask(before.server, channel=channel)
    assert load_identity(before.server) == before
    await ask(before.server)
    assert load_identity(before.server).certificate != before.certificate
    # With what was renewed.
    assert (await ask(before.server)).source == "duet"


async def test_an_answer_is_given_also_where_renewing_fails(secure, ask, identity, monkeypatch):
    before = await identity()
    monkeypatch.setattr("duet_device.identity.credentials.RENEW_AFTER", 0.0)
    monkeypatch.setattr("duet_device.identity.renewal._TELL_LEFT", 2.0)
    monkeypatch.setattr(secure.authority.__class__, "renew", lambda *_: None)
    notes = []
    receipt = await ask(before.server, notes)
    assert (receipt.source, receipt.answer) == ("duet", "yes")
    assert len(notes) == 1
    assert "could not be renewed" in notes[0]
    assert load_identity(before.server) == before


async def test_questions_over_a_kept_channel_shake_hands_once(secure, ask):
    credentials = identities.device(secure.authority).credentials(secure.roots)
    counts = []
    with Relay(f"127.0.0.1:{secure.port}") as proxy:
        with open_channel(proxy.address, credentials) as channel:
            for _ in range(3):
                receipt = await ask(proxy.address, channel=channel)
                assert receipt.source == "duet"
                assert receipt.ms.connect is not None
                counts.append(proxy.count)
        assert counts[-1].connections == 1
        # Less than a certificate.
        assert (counts[2] - counts[1]).up < 400
        assert (counts[2] - counts[1]).down < 1000
        for _ in range(2):
            await ask(proxy.address, credentials=credentials)
        assert proxy.count.connections == 3
