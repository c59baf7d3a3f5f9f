"""Limits of each identity: never exceeded, exact across restarts, and told with when they reset."""

import asyncio
import json

import grpc
import pytest
from grpc_status import rpc_status
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloud.engine import Job
from cloud.errors import CredentialsError
from cloud.identity.access import Access, AccessFile, load_access
from cloud.identity.callers import CALLER, Caller
from cloud.identity.certificates import pem
from cloud.identity.quotas import RATE_WINDOW_S, MeteredEngine, Quotas, usage_of
from cloud.reasoner import PairReasoner
from cloud.server import CloudServer
from cloud.status import Refusal
from device.errors import CloudBusy
from device.link_errors import device_error
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles import identities

MIDNIGHT = 1_800_000_000 - 1_800_000_000 % 86400


class Clock:
    def __init__(self, now=MIDNIGHT + 3600.0):
        self.now = now

    def __call__(self):
        return self.now


def access_of(**limits):
    file = AccessFile(None)
    file.access = Access.model_validate({"limits": {"default": limits}})
    return file


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(tmp_path, clock):
    def build(**limits):
        return Quotas(tmp_path / "counts.db", access_of(**limits), clock)

    return build


def test_usage_by_day_and_who_spent_most_first(make, clock, tmp_path):
    quotas = make(tokens=100)
    for name, tokens in (("desk", 30), ("laptop", 40)):
        with quotas.tokens(name, 50) as taken:
            taken[0] = tokens
    clock.now += 86400
    with quotas.tokens("desk", 80) as taken:
        taken[0] = 60
        # What it may take, until it ends.
        (running,) = usage_of(tmp_path / "counts.db", access_of(tokens=100).access, 1, clock)
    found = usage_of(tmp_path / "counts.db", access_of(tokens=100).access, 2, clock)
    assert [(entry.name, entry.tokens) for entry in found] == [
        ("desk", 60),
        ("laptop", 40),
        ("desk", 30),
    ]
    assert found[0].day > found[1].day
    assert (running.tokens, running.limit) == (80, 100)
    assert usage_of(tmp_path / "none.db", access_of().access, 1, clock) == []


def ask(quotas, name="laptop"):
    with quotas.question(name):
        pass


def test_rate_names_itself_and_when_it_resets(make, clock):
    quotas = make(rate=2)
    ask(quotas)
    clock.now += 20
    ask(quotas)
    with pytest.raises(Refusal, match="2 questions a minute; resets in 40 s") as caught:
        ask(quotas)
    violation, retry = caught.value.details
    assert violation.violations[0].subject == "laptop"
    assert retry.retry_delay.seconds == 40
    ask(quotas, "phone")
    clock.now += 40
    ask(quotas)
    with pytest.raises(Refusal, match="resets in 20 s"):
        ask(quotas)


def test_a_refused_question_counts_for_nothing(make, clock):
    quotas = make(rate=1)
    ask(quotas)
    for _ in range(5):
        clock.now += 10
        with pytest.raises(Refusal):
            ask(quotas)
    clock.now += 10
    ask(quotas)


def test_concurrency(make):
    quotas = make(concurrency=1)
    with quotas.question("laptop"), quotas.question("phone"):
        refuses = pytest.raises(Refusal, match="1 questions at a time; resets when one")
        with refuses:
            ask(quotas)
    ask(quotas)


def test_tokens_are_charged_at_most_and_given_back(make, clock):
    quotas = make(tokens=100)
    with quotas.tokens("laptop", 60) as taken:
        assert quotas.spent("laptop") == 60
        with (
            pytest.raises(
                Refusal, match="100 tokens a day, 60 are spent, this question may take 41"
            ),
            quotas.tokens("laptop", 41),
        ):
            pass
        taken[0] = 10
    assert quotas.spent("laptop") == 10
    with quotas.tokens("laptop", 90) as taken:
        taken[0] = 90
    with pytest.raises(Refusal, match="resets at 00:00 UTC, in 23 h 0 min"):
        ask(quotas)
    clock.now += 23 * 3600
    ask(quotas)
    assert quotas.spent("laptop") == 0


def test_given_back_to_the_day_it_was_charged_to(make, clock):
    quotas = make(tokens=100)
    clock.now = MIDNIGHT + 86400 - 1
    with quotas.tokens("laptop", 80) as taken:
        clock.now += 2
        taken[0] = 30
    assert quotas.spent("laptop") == 0
    clock.now -= 2
    assert quotas.spent("laptop") == 30


def test_what_a_crash_cut_off_counts_in_full(make):
    crashed = make(tokens=100).tokens("laptop", 70)
    crashed.__enter__()
    assert make(tokens=100).spent("laptop") == 70


def test_counts_survive_a_restart(make, clock):
    quotas = make(rate=1, tokens=50)
    ask(quotas)
    with quotas.tokens("laptop", 50) as taken:
        taken[0] = 50
    quotas.close()
    again = make(rate=1, tokens=50)
    with pytest.raises(Refusal, match="tokens a day"):
        ask(again)
    with pytest.raises(Refusal, match="questions a minute"):
        ask(make(rate=1))


@pytest.mark.parametrize("name", ["rate", "concurrency", "tokens"])
def test_a_limit_of_none_at_all(make, name):
    with pytest.raises(Refusal):
        ask(make(**{name: 0}))


def test_without_limits_nothing_is_refused_or_counted(make):
    quotas = make()
    for _ in range(3):
        with quotas.question("laptop"), quotas.tokens("laptop", 10**9) as taken:
            taken[0] = 10**9
    assert quotas.spent("laptop") == 0


class Restarts(RuleBasedStateMachine):
    """Against a model: nothing is let through that should not be, nor the other way round."""

    RATE, TOKENS = 3, 50

    def __init__(self):
        super().__init__()
        import tempfile

        self.directory = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.asked, self.spent = [], {}
        self.quotas = None
        self.restart()

    @property
    def today(self):
        return int(self.clock.now // 86400)

    @rule()
    def restart(self):
        if self.quotas:
            self.quotas.close()
        from pathlib import Path

        path = Path(self.directory.name) / "counts.db"
        access = access_of(rate=self.RATE, tokens=self.TOKENS)
        self.quotas = Quotas(path, access, self.clock)

    @rule(seconds=st.sampled_from([0.5, 7.0, 30.0, RATE_WINDOW_S, 9000.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(most=st.integers(1, 40), part=st.floats(0, 1))
    def question(self, most, part):
        recent = [at for at in self.asked if at > self.clock.now - RATE_WINDOW_S]
        spent = self.spent.get(self.today, 0)
        admitted = len(recent) < self.RATE and spent < self.TOKENS
        try:
            with self.quotas.question("laptop"):
                assert admitted
                self.asked.append(self.clock.now)
                with self.quotas.tokens("laptop", most) as taken:
                    assert spent + most <= self.TOKENS
                    taken[0] = round(part * most)
                    self.spent[self.today] = spent + taken[0]
        except Refusal:
            assert not admitted or spent + most > self.TOKENS

    @invariant()
    def agrees(self):
        assert self.quotas.spent("laptop") == self.spent.get(self.today, 0)

    def teardown(self):
        self.quotas.close()
        self.directory.cleanup()


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[limits.default]\nrate = -1", r"limits\.default\.rate"),
        ("[limits.default]\nrates = 1", r"limits\.default\.rates"),
        ('[limits.default]\nrate = "1"', r"limits\.default\.rate"),
        ("[limits]\ndefault = 3", r"limits\.default"),
        ("[role]\n", "role"),
        ('[roles]\n"laptop" = ["inference"]', "no URI name"),
        ('[roles]\n"spiffe://a/*/b" = ["inference"]', "no URI name"),
        ('[roles]\n"spiffe://a/b" = ["root"]', "roles"),
        ("[limits", "cannot read"),
    ],
)
def test_access_files_that_are_not_understood(tmp_path, text, why):
    path = tmp_path / "access.toml"
    path.write_text(text)
    with pytest.raises(CredentialsError, match=why):
        load_access(path)


def test_own_limits_stand_before_the_defaults():
    access = Access.model_validate(
        {"limits": {"default": {"rate": 1, "tokens": 5}, "laptop": {"rate": 9}}}
    )
    assert access.limits_of("laptop").model_dump() == {"rate": 9, "concurrency": None, "tokens": 5}
    assert access.limits_of("phone").rate == 1


@given(st.text(alphabet="ab/", max_size=8))
def test_patterns_cover_what_is_below_them_alone(path):
    access = Access.model_validate({"roles": {"spiffe://a/b/*": ["inference"]}})
    covered = bool(access.roles_of(f"spiffe://a/{path}"))
    assert covered == path.startswith("b/")


async def test_the_service_refuses_and_the_device_shows_it_in_one_line(secure, refused):
    security = secure.server.security
    security._access.access = Access.model_validate({"limits": {"default": {"tokens": 60}}})
    client = secure.connect(identities.device(secure.authority))
    assert await client.ask(budget=10) == 10
    error = await refused(client.ask(budget=40))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
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
    spent = security._quotas.spent("laptop")
    prompt = spent - 10
    left = 60 - spent - prompt
    assert await client.ask(budget=left) == left
    assert security._quotas.spent("laptop") == 60


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
async def test_a_question_broken_off_costs_its_prompt_and_what_came(make, engine, tokens):
    """Also before the first token: the engine had its prompt by then."""
    quotas = make(tokens=100)
    CALLER.set(Caller("laptop", frozenset(), "serial", 0.0))
    job = Job("id", [1] * 7, budget=40, stop_id=0, temperature=0.0, seed=None, text=False)
    steps = MeteredEngine(engine, quotas).generate(job)
    for _ in range(tokens):
        await anext(steps)
    engine.pause_s = 30.0
    waiting = asyncio.create_task(anext(steps))
    await asyncio.sleep(0)
    assert quotas.spent("laptop") == 7 + 40
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert quotas.spent("laptop") == 7 + tokens


async def test_a_service_that_starts_again_goes_on_counting(
    toy_pair, secure_options, authority, engine, refused
):
    (authority.directory / "access.toml").write_text("[limits.default]\nrate = 1\n")
    credentials = identities.device(authority).credentials(pem(authority.certificate))
    for again in (False, True):
        server = CloudServer(secure_options, PairReasoner.load(toy_pair))
        await server.start()
        await server.open(engine)
        async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials) as channel:
            call = InferenceServiceStub(channel).Reason(ReasonRequest(question="What?"))
            if again:
                assert "1 questions a minute; resets in" in (await refused(call)).details()
            else:
                assert [response async for response in call][-1].done.signal_tokens == 10
        await server.stop()
    assert len(engine.jobs) == 1


async def test_limits_change_while_it_serves(secure, refused):
    client = secure.connect(identities.device(secure.authority))
    assert await client.ask() == 10
    path = secure.authority.directory / "access.toml"
    path.write_text("[limits.default]\nrate = 0\n")
    await asyncio.sleep(1.2)
    assert "0 questions a minute" in (await refused(client.ask())).details()


async def test_limits_that_are_gone_while_it_serves_stay_in_force(secure, refused, capsys):
    client = secure.connect(identities.device(secure.authority))
    path = secure.authority.directory / "access.toml"
    path.write_text("[limits.default]\nrate = 0\n")
    await asyncio.sleep(1.2)
    path.unlink()
    await asyncio.sleep(1.2)
    assert "0 questions a minute" in (await refused(client.ask())).details()
    assert capsys.readouterr().err.count("cannot read the access file") == 1


@pytest.mark.parametrize("text", ['denied = ["spiffe://a/b"]', '[roles]\n"spiffe://a/b" = []'])
async def test_roles_in_the_access_file_of_an_authority_are_told(secure, refused, capsys, text):
    """They have no effect: roles are in the registry. Limits beside them count."""
    path = secure.authority.directory / "access.toml"
    path.write_text(f"{text}\n[limits.default]\nrate = 0\n")
    await asyncio.sleep(1.7)
    lines = capsys.readouterr().err.splitlines()
    told = [json.loads(line) for line in lines if "cloud.admin invite" in line]
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
