"""Counts that cannot be written: no device exceeds a limit, and the error says what is wrong."""

import json
import sqlite3
import time

import grpc
import pytest

from duet_cloud import logs
from duet_cloud.identity.access import Access, AccessFile
from duet_cloud.identity.quotas import Quotas
from duet_cloud.status import Refusal
from tests.doubles import identities


@pytest.fixture
def make(tmp_path):
    def build(**limits):
        access = AccessFile(None)
        access.access = Access.model_validate({"limits": {"default": limits}})
        return Quotas(tmp_path / "counts.db", access)

    return build


def ask(quotas, name="laptop"):
    with quotas.question(name):
        pass


def _full(quotas, full=True):
    """A disk without room for one page more."""
    pages = quotas._db.execute("PRAGMA page_count").fetchone()[0]
    quotas._db.execute(f"PRAGMA max_page_count = {pages if full else 2**30}")


def _ask_often(quotas):
    for number in range(5000):
        ask(quotas, f"laptop-{number}" * 20)


def _locked(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_counts_that_cannot_be_written_refuse_and_are_tried_again(make, tmp_path, capsys):
    logs.configure("json")
    quotas = make(rate=10, tokens=100)
    quotas._db.execute("PRAGMA busy_timeout = 10")
    other = _locked(tmp_path / "counts.db")
    for refused in (lambda: ask(quotas), lambda: quotas.tokens("laptop", 10).__enter__()):
        with pytest.raises(Refusal, match="cannot count") as caught:
            refused()
        assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    # One line a minute, however many ask.
    assert "database is locked" in json.loads(capsys.readouterr().err)["reason"]
    other.execute("ROLLBACK")
    ask(quotas)
    with quotas.tokens("laptop", 10) as charge:
        charge.spent = 1
    assert quotas.spent("laptop") == 1


def test_a_full_disk_leaves_no_transaction_open(make):
    quotas = make(rate=10**6)
    _full(quotas)
    with pytest.raises(Refusal, match="cannot count"):
        _ask_often(quotas)
    assert not quotas._db.in_transaction
    _full(quotas, full=False)
    ask(quotas)


def test_an_answer_stands_where_nothing_can_be_given_back(make, tmp_path):
    quotas = make(tokens=100)
    quotas._db.execute("PRAGMA busy_timeout = 10")
    with quotas.tokens("laptop", 40) as charge:
        charge.spent = 3
        other = _locked(tmp_path / "counts.db")
    other.execute("ROLLBACK")
    assert quotas.spent("laptop") == 40


def test_whom_no_limit_holds_is_served_uncounted(make, tmp_path, capsys):
    logs.configure("json")
    quotas = make()
    other = _locked(tmp_path / "counts.db")
    began = time.monotonic()
    with quotas.tokens("laptop", 40) as charge:
        # Far from the five seconds that a limit is waited for: the other streams wait, too.
        assert time.monotonic() - began < 2.5
        charge.spent = 3
        other.execute("ROLLBACK")
    assert json.loads(capsys.readouterr().err)["level"] == "error"
    # Nor is anything given back that was never charged.
    assert quotas.spent("laptop") == 0


async def test_the_service_is_unavailable_while_it_cannot_count(secure, refused):
    security = secure.server.security
    security._quotas._db.execute("PRAGMA busy_timeout = 10")
    client = secure.connect(identities.device(secure.authority))
    value = secure.server.metrics.registry.get_sample_value
    for limits in ({"rate": 5}, {"tokens": 100}):
        security._access.access = Access.model_validate({"limits": {"default": limits}})
        other = _locked(secure.authority.directory / "counts.db")
        assert (await refused(client.ask(budget=10))).code() == grpc.StatusCode.UNAVAILABLE
        other.execute("ROLLBACK")
        assert await client.ask(budget=10) == 10
    outcome = {"pair": "toy@1.2.3", "outcome": "unavailable"}
    assert value("duet_requests_total", outcome) == 1
