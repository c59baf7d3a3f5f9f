"""Limits of each identity: never exceeded, exact across restarts, and told with when they reset."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from duet_cloud.identity.access import Access, AccessFile
from duet_cloud.identity.counts import RATE_WINDOW_S, Counts
from duet_cloud.identity.database import Database
from duet_cloud.identity.quotas import Quotas
from duet_cloud.status import Refusal

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


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Opens the same database again each time."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database()
        return lambda: Database.postgresql(url)
    return lambda: Database.sqlite(tmp_path / "counts.db")


@pytest.fixture
async def make(database, clock):
    made = []

    def build(**limits):
        made.append(quotas_of(database(), clock, **limits))
        return made[-1]

    yield build
    for quotas in made:
        await quotas.close()


def quotas_of(database, clock, **limits):
    database.migrate()
    counts = Counts(database, clock)
    counts.begin()
    return Quotas(counts, access_of(**limits))


async def test_usage_by_day_and_who_spent_most_first(make, clock):
    quotas = make(tokens=100)
    for name, tokens in (("desk", 30), ("laptop", 40)):
        async with quotas.tokens(name, 50) as charge:
            charge.spent = tokens
    clock.now += 86400
    async with quotas.tokens("desk", 80) as charge:
        charge.spent = 60
        # What it may take, until it ends.
        (running,) = quotas.counts.usage(access_of(tokens=100).access)
    found = quotas.counts.usage(access_of(tokens=100).access, 2)
    assert [(entry.name, entry.tokens) for entry in found] == [
        ("desk", 60),
        ("laptop", 40),
        ("desk", 30),
    ]
    assert found[0].day > found[1].day
    assert (running.tokens, running.limit) == (80, 100)


async def ask(quotas, name="laptop"):
    async with quotas.question(name):
        pass


async def test_rate_names_itself_and_when_it_resets(make, clock):
    quotas = make(rate=2)
    await ask(quotas)
    clock.now += 20
    await ask(quotas)
    with pytest.raises(Refusal, match="2 questions a minute; resets in 40 s") as caught:
        await ask(quotas)
    violation, retry = caught.value.details
    assert violation.violations[0].subject == "laptop"
    assert retry.retry_delay.seconds == 40
    await ask(quotas, "phone")
    clock.now += 40
    await ask(quotas)
    with pytest.raises(Refusal, match="resets in 20 s"):
        await ask(quotas)


async def test_a_refused_question_counts_for_nothing(make, clock):
    quotas = make(rate=1)
    await ask(quotas)
    for _ in range(5):
        clock.now += 10
        with pytest.raises(Refusal):
            await ask(quotas)
    clock.now += 10
    await ask(quotas)


async def test_concurrency(make):
    quotas = make(concurrency=1)
    async with quotas.question("laptop"), quotas.question("phone"):
        refuses = pytest.raises(Refusal, match="1 questions at a time; resets when one")
        with refuses:
            await ask(quotas)
    await ask(quotas)


async def test_tokens_are_charged_at_most_and_given_back(make, clock):
    quotas = make(tokens=100)
    async with quotas.tokens("laptop", 60) as charge:
        assert quotas.counts.spent("laptop") == 60
        with pytest.raises(
            Refusal, match="100 tokens a day, 60 are spent, this question may take 41"
        ):
            await quotas.tokens("laptop", 41).__aenter__()
        charge.spent = 10
    assert quotas.counts.spent("laptop") == 10
    async with quotas.tokens("laptop", 90) as charge:
        charge.spent = 90
    with pytest.raises(Refusal, match="resets at 00:00 UTC, in 23 h 0 min"):
        await ask(quotas)
    clock.now += 23 * 3600
    await ask(quotas)
    assert quotas.counts.spent("laptop") == 0


async def test_given_back_to_the_day_it_was_charged_to(make, clock):
    quotas = make(tokens=100)
    clock.now = MIDNIGHT + 86400 - 1
    async with quotas.tokens("laptop", 80) as charge:
        clock.now += 2
        charge.spent = 30
    assert quotas.counts.spent("laptop") == 0
    clock.now -= 2
    assert quotas.counts.spent("laptop") == 30


async def test_what_a_crash_cut_off_counts_in_full(make):
    crashed = make(tokens=100).tokens("laptop", 70)
    await crashed.__aenter__()
    assert make(tokens=100).counts.spent("laptop") == 70


async def test_counts_survive_a_restart(make, clock):
    quotas = make(rate=1, tokens=50)
    await ask(quotas)
    async with quotas.tokens("laptop", 50) as charge:
        charge.spent = 50
    await quotas.close()
    again = make(rate=1, tokens=50)
    with pytest.raises(Refusal, match="tokens a day"):
        await ask(again)
    with pytest.raises(Refusal, match="questions a minute"):
        await ask(make(rate=1))


@pytest.mark.parametrize("name", ["rate", "concurrency", "tokens"])
async def test_a_limit_of_none_at_all(make, name):
    with pytest.raises(Refusal):
        await ask(make(**{name: 0}))


async def test_without_limits_nothing_is_refused_and_tokens_are_counted(make, clock):
    quotas = make()
    for _ in range(3):
        async with quotas.question("laptop"), quotas.tokens("laptop", 10**9) as charge:
            charge.spent = 10**8
    (found,) = quotas.counts.usage(access_of().access)
    assert (found.tokens, found.limit) == (3 * 10**8, None)
    # A limit that is set later in the day holds for what was spent before it, too.
    with pytest.raises(Refusal, match="tokens a day"):
        await ask(make(tokens=3 * 10**8))


class Restarts(RuleBasedStateMachine):
    """Against a model: nothing is let through that should not be, nor the other way round."""

    RATE, TOKENS = 3, 50

    def __init__(self):
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.asked, self.spent = [], {}
        self.quotas = None
        self.runner = asyncio.Runner()
        self.restart()

    @property
    def today(self):
        return int(self.clock.now // 86400)

    @rule()
    def restart(self):
        self.close()
        database = Database.sqlite(Path(self.directory.name) / "counts.db")
        self.quotas = quotas_of(database, self.clock, rate=self.RATE, tokens=self.TOKENS)

    def close(self):
        if self.quotas:
            self.runner.run(self.quotas.close())

    @rule(seconds=st.sampled_from([0.5, 7.0, 30.0, RATE_WINDOW_S, 9000.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(most=st.integers(1, 40), part=st.floats(0, 1))
    def question(self, most, part):
        self.runner.run(self.ask(most, part))

    async def ask(self, most, part):
        recent = [at for at in self.asked if at > self.clock.now - RATE_WINDOW_S]
        spent = self.spent.get(self.today, 0)
        admitted = len(recent) < self.RATE and spent < self.TOKENS
        try:
            async with self.quotas.question("laptop"):
                assert admitted
                self.asked.append(self.clock.now)
                async with self.quotas.tokens("laptop", most) as charge:
                    assert spent + most <= self.TOKENS
                    charge.spent = round(part * most)
                    self.spent[self.today] = spent + charge.spent
        except Refusal:
            assert not admitted or spent + most > self.TOKENS

    @invariant()
    def agrees(self):
        assert self.quotas.counts.spent("laptop") == self.spent.get(self.today, 0)

    def teardown(self):
        self.close()
        self.runner.close()
        self.directory.cleanup()


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)


async def test_a_clock_that_is_set_back_locks_no_one_out(make, clock):
    quotas = make(rate=1)
    async with quotas.question("laptop"):
        pass
    clock.now -= 3600
    async with quotas.question("laptop"):
        pass
    with pytest.raises(Refusal):
        await ask(quotas)
