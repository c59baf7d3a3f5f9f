"""Limits as a service holds its callers to them."""

import asyncio
import json
import threading

import grpc
import pytest
from grpc_status import rpc_status

from duet_cloud.identity.access import Access
from duet_cloud.identity.certificates import pem
from duet_cloud.identity.counts import open_counts
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_device.errors import CloudBusy
from duet_device.link_errors import device_error
from tests.doubles import identities
from tests.doubles.identities import look_again
from tests.doubles.unread import until


async def test_the_service_refuses_and_the_device_shows_it_in_one_line(secure, refused):
    security = secure.server.security
    security._access.access = Access.model_validate({"limits": {"default": {"tokens": 60}}})
    client = secure.connect(identities.device(secure.authority))
    assert await client.ask(budget=10) == 10
    error = await refused(client.ask(budget=40))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    value = secure.server.metrics.registry.get_sample_value
    assert value("duet_refused_total", {"reason": "tokens"}) == 1
    details = rpc_status.from_call(_Sync(error))
    kinds = {any_.TypeName() for any_ in details.details}
    assert kinds == {"google.rpc.QuotaFailure", "google.rpc.RetryInfo"}
    shown = device_error(_Sync(error), "host:1")
    assert isinstance(shown, CloudBusy)
    assert "limit of laptop: 60 tokens a day" in str(shown)
    assert "resets at 00:00 UTC" in str(shown)
    assert "\n" not in str(shown)
    assert "no place" not in str(shown)
    # What was not spent is left, to the last token.
    spent = security._quotas.counts.spent("laptop")
    prompt = spent - 10
    left = 60 - spent - prompt
    assert await client.ask(budget=left) == left
    assert security._quotas.counts.spent("laptop") == 60


async def test_concurrency_is_freed_when_a_question_is_cancelled(secure, refused):
    security = secure.server.security
    security._access.access = Access.model_validate({"limits": {"default": {"concurrency": 1}}})
    secure.engine.pause_s = 30.0
    client = secure.connect(identities.device(secure.authority))
    first = asyncio.create_task(client.ask())
    while not secure.engine.running:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert "at a time" in (await refused(client.ask())).details()
    first.cancel()
    while secure.engine.running:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    secure.engine.pause_s = 0.0
    assert await client.ask() == 10


@pytest.mark.parametrize("tokens", [0, 3])
async def test_a_cancelled_question_costs_its_prompt_and_the_tokens_so_far(secure, tokens):
    """Also before the first token: the engine has computed the prompt by then."""
    security, engine = secure.server.security, secure.engine
    counts = security._quotas.counts
    security._access.access = Access.model_validate({"limits": {"default": {"tokens": 1000}}})
    engine.pauses = {tokens: 30.0}
    asked = asyncio.create_task(secure.connect(identities.device(secure.authority)).ask(budget=40))
    while engine.emitted < tokens or not engine.jobs:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    # A task that is cancelled before gRPC has sent its question leaves the call as it is.
    await asyncio.sleep(0.1)
    prompt = len(engine.jobs[0].prompt_ids)
    assert counts.spent("laptop") == prompt + 40
    asked.cancel()
    await until(lambda: counts.spent("laptop") != prompt + 40)
    assert counts.spent("laptop") == prompt + tokens


async def test_a_service_that_starts_again_goes_on_counting(
    toy_pair, secure_options, authority, engine, refused
):
    (authority.directory / "access.toml").write_text("[limits.default]\nrate = 1\n")
    credentials = identities.device(authority).credentials(pem(authority.certificate))
    for again in (False, True):
        server = CloudServer(secure_options, PairReasoner.load(toy_pair))
        await server.start()
        await server.open(engine)
        async with open_aio_channel(f"127.0.0.1:{server.port}", credentials) as channel:
            call = InferenceServiceStub(channel).Reason(ReasonRequest(question="What?"))
            if again:
                assert "1 questions a minute; resets in" in (await refused(call)).details()
            else:
                assert [response async for response in call][-1].end.signal_tokens == 10
        await server.stop()
    assert len(engine.jobs) == 1


async def test_a_question_that_a_stop_ends_costs_what_it_used(
    toy_pair, secure_options, authority, engine
):
    (authority.directory / "access.toml").write_text("[limits.default]\ntokens = 1000\n")
    credentials = identities.device(authority).credentials(pem(authority.certificate))
    server = CloudServer(secure_options, PairReasoner.load(toy_pair))
    await server.start()
    engine.pauses = {3: 30.0}
    await server.open(engine)
    async with open_aio_channel(f"127.0.0.1:{server.port}", credentials) as channel:
        call = InferenceServiceStub(channel).Reason(ReasonRequest(question="What?", budget=40))
        await until(lambda: engine.emitted == 3)
        await server.stop()
        call.cancel()
    counts = open_counts(authority.directory / "counts.db", None)
    assert counts.spent("laptop") == len(engine.jobs[0].prompt_ids) + 3
    counts.close()


async def test_limits_change_while_it_serves(secure, refused):
    client = secure.connect(identities.device(secure.authority))
    assert await client.ask() == 10
    path = secure.authority.directory / "access.toml"
    path.write_text("[limits.default]\nrate = 0\n")
    await look_again(secure.server)
    assert "0 questions a minute" in (await refused(client.ask())).details()


async def test_limits_that_are_gone_while_it_serves_stay_in_force(secure, refused, capsys):
    client = secure.connect(identities.device(secure.authority))
    path = secure.authority.directory / "access.toml"
    path.write_text("[limits.default]\nrate = 0\n")
    await look_again(secure.server)
    path.unlink()
    await look_again(secure.server)
    assert "0 questions a minute" in (await refused(client.ask())).details()
    assert capsys.readouterr().err.count("cannot read the access file") == 1


@pytest.mark.parametrize("text", ['denied = ["spiffe://a/b"]', '[roles]\n"spiffe://a/b" = []'])
async def test_roles_in_the_access_file_of_an_authority_are_told(secure, refused, capsys, text):
    """They have no effect: roles are in the registry. Limits in the same file have an effect."""
    path = secure.authority.directory / "access.toml"
    path.write_text(f"{text}\n[limits.default]\nrate = 0\n")
    await look_again(secure.server)
    lines = capsys.readouterr().err.splitlines()
    told = [json.loads(line) for line in lines if "duet-cloud admin invite" in line]
    assert [line["level"] for line in told] == ["error"]
    client = secure.connect(identities.device(secure.authority))
    assert "0 questions a minute" in (await refused(client.ask())).details()


class _Sync(grpc.RpcError, grpc.Call):
    """An asynchronous error, seen as the synchronous call that `link_errors` wants."""

    def __init__(self, error):
        self._error = error

    def code(self):
        return self._error.code()

    def details(self):
        return self._error.details()

    def trailing_metadata(self):
        return tuple(self._error.trailing_metadata())

    def __getattr__(self, name):
        raise AssertionError(name)

    initial_metadata = is_active = time_remaining = cancel = add_callback = lambda *_: None


@pytest.mark.parametrize("part", ["_access", "_credentials"])
async def test_files_that_are_slow_to_read_stop_no_one_else(secure, part, monkeypatch):
    """A changed access file of a megabyte, or files on a network that is away."""
    reads, may = threading.Event(), threading.Event()

    def refresh():
        reads.set()
        assert may.wait(60)
        return False

    monkeypatch.setattr(getattr(secure.server.security, part), "refresh", refresh)
    await until(reads.is_set)
    try:
        assert await secure.connect(identities.device(secure.authority)).ask() == 10
    finally:
        may.set()
