"""Two services whose connections to one database PgBouncer pools."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from duet_cloud.identity import authority_directory
from duet_cloud.identity.access import IdentityLimits
from duet_cloud.identity.counts import Counts
from duet_cloud.identity.database import Database
from duet_cloud.status import Refusal
from tests.doubles import identities
from tests.doubles.pgbouncer import pgbouncer
from tests.doubles.postgres import Postgres


@pytest.fixture(params=["session", "transaction"])
def pooled(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[str]:
    with pgbouncer(postgres.database(), request.param) as url:
        yield url


@pytest.fixture
def services(pooled: str) -> Iterator[list[Counts]]:
    with ExitStack() as opened:
        made = []
        for _ in range(2):
            counts = Counts(Database.postgresql(pooled))
            opened.callback(counts.close)
            counts.database.migrate()
            counts.begin()
            made.append(counts)
        yield made


def test_an_authority_is_made_and_opened_through_it(pooled: str, tmp_path: Path) -> None:
    made = identities.make_authority(tmp_path / "authority", pooled)
    identities.device(made)
    made.registry.database.close()
    # More calls than connections, and each statement more often than what prepares it waits for.
    for _ in range(3):
        registry = authority_directory.open_registry(tmp_path / "authority", pooled)
        for _ in range(10):
            assert [each.name for each in registry.devices(0)] == ["laptop"]
        registry.database.close()


def test_limits_are_exact_through_it(services: list[Counts]) -> None:
    day = services[0].day()

    def charge(number: int) -> bool:
        return services[number % 2].charge("laptop", day, 3, 100)

    def admit(number: int) -> bool:
        try:
            return services[number % 2].admit("phone", IdentityLimits(concurrency=5))
        except Refusal:
            return False

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(charge, range(60))) == 33
        assert sum(threads.map(admit, range(40))) == 5
    assert services[1].spent("laptop") == 99


def test_statements_have_a_time_limit_through_it(postgres: Postgres) -> None:
    with (
        pgbouncer(postgres.database(), "session") as url,
        closing(Database.postgresql(url)) as database,
    ):
        assert database.one("SHOW statement_timeout") == ("5s",)
