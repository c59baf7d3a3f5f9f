"""Counts that cannot be written: no device exceeds a limit, and the error says what is wrong."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time

import grpc
import pytest
from sqlalchemy import event

from duet_cloud import logs
from duet_cloud.identity import database as databases
from duet_cloud.identity.access import Access, AccessFile
from duet_cloud.identity.counts import Counts
from duet_cloud.identity.database import Database
from duet_cloud.identity.quotas import Quotas
from duet_cloud.status import Refusal
from duet_contract.v1.control_pb2 import GetCapacityRequest
from tests.doubles import identities
from tests.doubles.unread import until


@pytest.fixture
def brief(monkeypatch):
    """Locks are waited for briefly."""
    monkeypatch.setattr(databases, "WAIT_S", 0.05)


@pytest.fixture
async def make(tmp_path):
    made = []

    def build(**limits):
        access = AccessFile(None)
        access.access = Access.model_validate({"limits": {"default": limits}})
        counts = Counts(Database.sqlite(tmp_path / "counts.db"))
        counts.database.migrate()
        counts.begin()
        made.append(Quotas(counts, access))
        return made[-1]

    yield build
    for quotas in made:
        await quotas.close()


async def ask(quotas, name="laptop"):
    async with quotas.question(name):
        pass


async def _ask_often(quotas):
    for number in range(5000):
        await ask(quotas, f"laptop-{number}" * 200)


def _locked(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_counts_that_cannot_be_written_refuse_and_are_tried_again(
    brief, make, tmp_path, capsys
):
    logs.configure("json")
    quotas = make(rate=10, tokens=100)
    other = _locked(tmp_path / "counts.db")
    for refused in (lambda: ask(quotas), lambda: quotas.tokens("laptop", 10).__aenter__()):
        with pytest.raises(Refusal, match="cannot count") as caught:
            await refused()
        assert caught.value.code == grpc.StatusCode.UNAVAILABLE
        assert caught.value.details[0].retry_delay.seconds == 5
    # One line a minute, however many ask.
    reason = json.loads(capsys.readouterr().err)["reason"]
    # A busy machine may not even have asked for the lock by then.
    assert "database is locked" in reason or "does not answer" in reason
    other.execute("ROLLBACK")
    await ask(quotas)
    async with quotas.tokens("laptop", 10) as charge:
        charge.spent = 1
    assert quotas.counts.spent("laptop") == 1


async def test_a_full_disk_leaves_no_transaction_open(make, tmp_path):
    quotas = make(rate=10**6)
    engine = quotas.counts.database._engine
    with sqlite3.connect(tmp_path / "counts.db") as other:
        (pages,) = other.execute("PRAGMA page_count").fetchone()

    def full(connection, _):
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(engine, "connect", full)
    engine.dispose()
    with pytest.raises(Refusal, match="cannot count"):
        await _ask_often(quotas)
    event.remove(engine, "connect", full)
    engine.dispose()
    await ask(quotas)
    _locked(tmp_path / "counts.db").close()


async def test_an_answer_stands_where_nothing_can_be_given_back(brief, make, tmp_path):
    quotas = make(tokens=100)
    async with quotas.tokens("laptop", 40) as charge:
        charge.spent = 3
        other = _locked(tmp_path / "counts.db")
    await until(lambda: not quotas._refunds)
    other.execute("ROLLBACK")
    assert quotas.counts.spent("laptop") == 40


async def test_the_end_of_a_question_waits_briefly_and_its_refund_is_not_lost(make, tmp_path):
    quotas = make(tokens=100)
    async with quotas.tokens("laptop", 40) as charge:
        charge.spent = 3
        other = _locked(tmp_path / "counts.db")
    # Nothing is left of it once the lock has been waited for.
    assert quotas._refunds
    other.execute("ROLLBACK")
    await asyncio.wait(quotas._refunds)
    assert quotas.counts.spent("laptop") == 3


async def test_who_is_cancelled_while_being_charged_gets_it_back(make, tmp_path):
    quotas = make(tokens=100, concurrency=1)
    other = _locked(tmp_path / "counts.db")
    waiting = [
        asyncio.create_task(quotas.tokens("laptop", 40).__aenter__()),
        asyncio.create_task(quotas.question("laptop").__aenter__()),
    ]
    await asyncio.sleep(0.2)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    other.execute("ROLLBACK")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        with sqlite3.connect(tmp_path / "counts.db") as found:
            rows = found.execute("SELECT spent FROM tokens UNION ALL SELECT number FROM running")
            numbers = [row[0] for row in rows]
        if len(numbers) == 2 and not any(numbers):
            break
    assert numbers == [0, 0]
    await ask(quotas)


def _running(path):
    with sqlite3.connect(path) as found:
        return found.execute("SELECT SUM(number) FROM running").fetchone()[0]


async def test_an_end_that_is_stored_late_counts_once(make, tmp_path, monkeypatch):
    quotas = make(concurrency=3)
    questions = [quotas.question("laptop") for _ in range(3)]
    for question in questions:
        await question.__aenter__()
    # The service waits briefly from now on; connections wait as long as before.
    monkeypatch.setattr(databases, "WAIT_S", 0.05)
    other = _locked(tmp_path / "counts.db")
    await questions.pop().__aexit__(None, None, None)
    await until(lambda: not quotas._refunds)
    other.execute("ROLLBACK")
    monkeypatch.undo()
    await until(lambda: _running(tmp_path / "counts.db") == 2)
    await quotas.extend()
    assert _running(tmp_path / "counts.db") == 2
    async with quotas.question("laptop"):
        with pytest.raises(Refusal, match="3 questions at a time"):
            await ask(quotas)
    for question in questions:
        await question.__aexit__(None, None, None)
    assert _running(tmp_path / "counts.db") == 0


async def test_an_end_that_could_not_be_stored_is_stored_later(brief, make, tmp_path):
    quotas = make(concurrency=1)
    async with quotas.question("laptop"):
        other = _locked(tmp_path / "counts.db")
    await until(lambda: not quotas._refunds)
    other.execute("ROLLBACK")
    assert _running(tmp_path / "counts.db") == 1
    await quotas.extend()
    assert _running(tmp_path / "counts.db") == 0
    await ask(quotas)


async def test_a_question_that_could_not_begin_holds_no_place(brief, make, tmp_path):
    quotas = make(concurrency=1)
    counts, store = quotas.counts, quotas.counts._store

    def store_and_fail(*given):
        store(*given)
        raise databases.DatabaseError("full")

    counts._store = store_and_fail
    with pytest.raises(Refusal, match="cannot count"):
        await ask(quotas)
    counts._store = store
    await ask(quotas)


async def test_whom_no_limit_holds_is_served_uncounted(brief, make, tmp_path, capsys):
    logs.configure("json")
    quotas = make()
    other = _locked(tmp_path / "counts.db")
    async with quotas.question("laptop"), quotas.tokens("laptop", 40) as charge:
        charge.spent = 3
    other.execute("ROLLBACK")
    assert json.loads(capsys.readouterr().err)["level"] == "error"
    assert quotas.counts.spent("laptop") == 0


async def test_the_service_is_unavailable_while_it_cannot_count(brief, secure, refused):
    security = secure.server.security
    client = secure.connect(identities.device(secure.authority))
    value = secure.server.metrics.registry.get_sample_value
    for limits in ({"rate": 5}, {"tokens": 100}):
        security._access.access = Access.model_validate({"limits": {"default": limits}})
        other = _locked(secure.authority.directory / "counts.db")
        assert (await refused(client.ask(budget=10))).code() == grpc.StatusCode.UNAVAILABLE
        other.execute("ROLLBACK")
        assert await client.ask(budget=10) == 10
    outcome = {"pair": "toy@1.2.3", "outcome": "unavailable", "reason": "database"}
    assert value("duet_requests_total", outcome) == 1
    assert value("duet_refused_total", {"reason": "database"}) == 1


@pytest.fixture
def second(monkeypatch):
    """Locks are waited for as long as what a busy machine takes to read."""
    monkeypatch.setattr(databases, "WAIT_S", 1.0)


async def test_a_locked_database_is_reported_as_away(second, secure):
    security = secure.server.security
    other = _locked(secure.authority.directory / "counts.db")
    await until(lambda: not security.database_up)
    assert secure.server.reasons() == ["the database of identities and counts cannot be used"]
    other.execute("ROLLBACK")
    await until(lambda: security.database_up)
    assert secure.server.reasons() == []


_HOLDS = """
import sqlite3, sys
held = [sqlite3.connect(path, isolation_level=None) for path in sys.argv[1:]]
for each in held:
    each.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_lock_of_another_process_does_not_stop_the_event_loop(secure, refused):
    """Neither in the registry nor in the counts; who needs no write is served meanwhile."""
    directory = secure.authority.directory
    limits = {"limited": {"rate": 100, "tokens": 10**6, "concurrency": 50}}
    secure.server.security._access.access = Access.model_validate({"limits": limits})
    limited, free = (
        secure.connect(identities.device(secure.authority, name, ("inference", "control")))
        for name in ("limited", "free")
    )
    assert await limited.ask() == await free.ask() == 10
    files = [str(directory / name) for name in ("registry.db", "counts.db")]
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", _HOLDS, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert await asyncio.to_thread(other.stdout.readline) == b"held\n"
        longest = 0.0
        waiting = [asyncio.create_task(limited.ask()) for _ in range(12)]
        began = time.monotonic()
        while time.monotonic() - began < 2.0:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
        assert not any(task.done() for task in waiting)
        # A busy machine delays it, too; the lock alone would do so by five seconds.
        assert longest < 4.0
        assert (await free.control.GetCapacity(GetCapacityRequest())).max_running == 16
        assert await free.ask() == 10
        other.stdin.close()
    assert await asyncio.gather(*waiting) == [10] * 12
