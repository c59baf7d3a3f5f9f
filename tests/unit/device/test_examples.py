"""The examples in the docstrings of the device's entry points, run as they stand.

A scripted cloud and a decoder without a model stand in for the pair and the server that they name.
"""

import doctest
from collections.abc import Iterator
from types import ModuleType

import pytest

import duet_device
from duet_device import async_client, client, question
from duet_device.identity.channel import open_channel
from duet_device.pairs.pair import Pair
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder, answering

MODULES = [duet_device, async_client, client, question]


@pytest.fixture(autouse=True)
def stand_ins(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ScriptedCloud(says(tokens(*b"3*3=9"), done(5))) as cloud:
        monkeypatch.setattr(client, "open_pair", lambda *_, **__: pair)
        monkeypatch.setattr(client, "open_channel", lambda *_: open_channel(cloud.address))
        monkeypatch.setattr(client, "renew_if_due", lambda *_: False)
        monkeypatch.setattr(
            client, "load_decoder", lambda *_: ScriptedDecoder(answering("9", " A:"))
        )
        yield


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0
