"""The counts of the quotas: questions a minute, questions at a time, tokens a day.

Each method is one statement or one transaction, so that counts are exact whatever ends half-way,
and across services that share a database. There, time is the database's: a service's clock that
is behind would forget what another one counted.
"""

import datetime
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from duet_cloud.errors import CredentialsError
from duet_cloud.identity.access import Access, IdentityLimits
from duet_cloud.identity.database import Database
from duet_cloud.status import Refusal, over_quota
from duet_contract.private_files import open_locked

COUNTS_NAME = "counts.db"
RATE_WINDOW_S = 60.0
LEASE_S = 15.0
"""Time that running questions of a service still count when it has gone, in seconds."""
# Usage of older days is deleted.
_KEEP_DAYS = 400
_FOR_EVER = 1e300


class Counts:
    """Counts of one service. Its methods block; they may be called from any thread.

    Those that read or write raise `DatabaseError` if the database cannot be used.

    Args:
        database: where the counts are; `Database.migrate` was called.
        clock: seconds since 1970; of a shared database, the database's own unless this is given.
    """

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        self.database = database
        self._clock = clock
        # Seconds by which the clock of a shared database is ahead of this service's, as last seen.
        self._ahead = 0.0
        self._service = uuid.uuid4().hex
        # This service's running questions by identity. The database has a copy for other services.
        self._running: Counter[str] = Counter()
        self._running_lock = threading.Lock()
        self.lock: BinaryIO | None = None
        """What shows other services that this one has the file; closed with its process."""

    def close(self) -> None:
        """Close the database; another service may have the file."""
        self.database.close()
        if self.lock:
            self.lock.close()

    def begin(self) -> None:
        """Begin to count for this service."""
        change = self.database.change
        with self.database.transaction():
            now = self._now()
            oldest = _date(now - _KEEP_DAYS * 86400).isoformat()
            change("DELETE FROM tokens WHERE day < :oldest", oldest=oldest)
            if not self.database.shared:
                # The only service: what is left is of one that was killed.
                change("DELETE FROM services")
            change(
                "DELETE FROM running WHERE service NOT IN "
                "(SELECT service FROM services WHERE until > :now)",
                now=now,
            )
            change("DELETE FROM services WHERE until <= :now", now=now)
            self._extend(now + LEASE_S if self.database.shared else _FOR_EVER)

    def extend(self) -> None:
        """Say that this service runs; a shared database forgets it otherwise after `LEASE_S`.

        Numbers of running questions that could not be stored, or that another service deleted while
        this one had no database, are stored again.
        """
        # In SQLite, this waits for the lock of who writes: counts that cannot be written are away.
        with self.database.transaction():
            if self.database.shared:
                self._extend(self._now() + LEASE_S)
            rows = self.database.all(
                "SELECT identity, number FROM running WHERE service = :service AND number > 0",
                service=self._service,
            )
        stored = {(str(name), int(number)) for name, number in rows}
        with self._running_lock:
            present = set(self._running.items())
        for name in {name for name, _ in stored ^ present}:
            self.store(name)

    def _extend(self, until: float) -> None:
        self.database.change(
            "INSERT INTO services (service, until) VALUES (:service, :until) "
            "ON CONFLICT (service) DO UPDATE SET until = excluded.until",
            service=self._service,
            until=until,
        )

    def admit(self, name: str, limits: IdentityLimits) -> bool:
        """Count a question that begins; return whether it counts as running until `leave`.

        Raises:
            Refusal: RESOURCE_EXHAUSTED, naming the limit and when it resets; nothing is counted.
        """
        if limits.concurrency is None and limits.rate is None:
            if limits.tokens is not None:
                self._check_tokens(name, limits.tokens)
            return False
        with ExitStack() as failed:
            with self.database.transaction():
                self._lock(name)
                now = self._now()
                if limits.concurrency is not None:
                    self._check_running(name, limits.concurrency, now)
                if limits.tokens is not None:
                    self._check_tokens(name, limits.tokens)
                if limits.rate is not None:
                    self._count(name, limits.rate, now)
                if limits.concurrency is not None:
                    with self._running_lock:
                        self._running[name] += 1
                    failed.callback(self.leave, name)
                    self._store(name)
            failed.pop_all()
        return limits.concurrency is not None

    def leave(self, name: str) -> None:
        """Stop counting a running question that `admit` counted. Call `store` next.

        Call once for each question; this does not use the database.
        """
        with self._running_lock:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]

    def store(self, name: str) -> None:
        """Store how many questions of an identity this service runs; may be repeated."""
        with self.database.transaction():
            self._lock(name)
            self._store(name)

    def charge(self, name: str, day: str, tokens: int, limit: int) -> bool:
        """Charge tokens; return whether the limit has room for them."""
        row = self.database.one(
            "INSERT INTO tokens (identity, day, spent) "
            "SELECT CAST(:name AS TEXT), CAST(:day AS TEXT), CAST(:tokens AS BIGINT) "
            "WHERE CAST(:tokens AS BIGINT) <= CAST(:limit AS BIGINT) "
            "ON CONFLICT (identity, day) DO UPDATE SET spent = tokens.spent + excluded.spent "
            "WHERE tokens.spent + excluded.spent <= CAST(:limit AS BIGINT) RETURNING spent",
            name=name,
            day=day,
            tokens=tokens,
            limit=limit,
        )
        return row is not None

    def add(self, name: str, day: str, tokens: int) -> None:
        """Add tokens, or take them back if negative, whatever the limit."""
        self.database.change(
            "INSERT INTO tokens (identity, day, spent) VALUES (:name, :day, :tokens) "
            "ON CONFLICT (identity, day) DO UPDATE SET spent = tokens.spent + excluded.spent",
            name=name,
            day=day,
            tokens=tokens,
        )

    def spent(self, name: str) -> int:
        """Return the tokens that an identity used today."""
        row = self.database.one(
            "SELECT spent FROM tokens WHERE identity = :name AND day = :day",
            name=name,
            day=self.day(),
        )
        return int(row[0]) if row else 0

    def day(self) -> str:
        """Return today (UTC, ISO 8601)."""
        return _date(self._time()).isoformat()

    def usage(self, access: Access, days: int = 1) -> "list[Usage]":
        """Return tokens by day, the newest day first, and by identity, who spent most first.

        `days`: how many, today the last.
        """
        first = _date(self._now()) - datetime.timedelta(days=days - 1)
        rows = self.database.all(
            "SELECT identity, day, spent FROM tokens WHERE day >= :first "
            "ORDER BY day DESC, spent DESC, identity",
            first=first.isoformat(),
        )
        return [Usage(name, day, spent, access.limits_of(name).tokens) for name, day, spent in rows]

    def out_of_tokens(self, name: str, limit: int, wanted: int) -> Refusal:
        """Return the refusal of a question that may take `wanted` tokens; 0: not known yet."""
        wait = 86400 - self._time() % 86400
        hours, minutes = divmod(int(wait // 60), 60)
        spent = self.spent(name)
        asks = f", this question may take {wanted}" if wanted else ""
        return over_quota(
            name,
            "tokens",
            f"limit of {name}: {limit} tokens a day, {spent} are spent{asks}; "
            f"resets at 00:00 UTC, in {hours} h {minutes} min",
            wait,
        )

    def _lock(self, name: str) -> None:
        """Let one transaction at a time count questions of an identity."""
        # SQLite has one transaction in all.
        if self.database.shared:
            self.database.one("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))", name=name)

    def _check_running(self, name: str, limit: int, now: float) -> None:
        # This service's number is the one in memory, whatever the database has of it.
        others = self.database.one(
            "SELECT COALESCE(SUM(number), 0) FROM running "
            "JOIN services ON services.service = running.service "
            "WHERE identity = :name AND until > :now AND running.service <> :service",
            name=name,
            now=now,
            service=self._service,
        )
        with self._running_lock:
            running = self._running[name] + (int(others[0]) if others else 0)
        if running >= limit:
            raise over_quota(
                name,
                "concurrency",
                f"limit of {name}: {limit} questions at a time; resets when one of them ends",
                1.0,
            )

    def _store(self, name: str) -> None:
        # Read while the identity is locked: an older number never replaces a newer one.
        with self._running_lock:
            number = self._running[name]
        self.database.change(
            "INSERT INTO running (identity, service, number) VALUES (:name, :service, :number) "
            "ON CONFLICT (identity, service) DO UPDATE SET number = excluded.number",
            name=name,
            service=self._service,
            number=number,
        )

    def _check_tokens(self, name: str, limit: int) -> None:
        if self.spent(name) >= limit:
            raise self.out_of_tokens(name, limit, 0)

    def _count(self, name: str, rate: int, now: float) -> None:
        since = now - RATE_WINDOW_S
        # Where a clock was set back, questions are in the future: those are forgotten, so that no
        # limit of a minute waits for more than a minute.
        self.database.change(
            "DELETE FROM questions WHERE identity = :name AND (at <= :since OR at > :now)",
            name=name,
            since=since,
            now=now,
        )
        # The question whose end of a minute makes room for one more, if there is no room.
        found = self.database.one(
            "SELECT at FROM questions WHERE identity = :name ORDER BY at DESC LIMIT 1 OFFSET :before",
            name=name,
            before=max(0, rate - 1),
        )
        if found is None and rate:
            insert = "INSERT INTO questions (identity, at) VALUES (:name, :now)"
            self.database.change(insert, name=name, now=now)
            return
        wait = RATE_WINDOW_S if found is None else found[0] + RATE_WINDOW_S - now
        raise over_quota(
            name,
            "rate",
            f"limit of {name}: {rate} questions a minute; resets in {wait:.0f} s",
            wait,
        )

    def _now(self) -> float:
        if self._clock or not self.database.shared:
            return self._time()
        query = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
        row = self.database.one(query)
        assert row
        now = float(row[0])
        self._ahead = now - time.time()
        return now

    def _time(self) -> float:
        """Return the time without asking the database."""
        return self._clock() if self._clock else time.time() + self._ahead


@dataclass(frozen=True)
class Usage:
    """Tokens that an identity used on a day, and its present limit."""

    name: str
    """Name of the identity."""
    day: str
    """Day in UTC, as ISO 8601 writes it."""
    tokens: int
    """Prompt and signal tokens of that day."""
    limit: int | None
    """Tokens that the identity may use per day; None: no limit."""


def _date(at: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date()


def counts_beside(access: Path) -> Path:
    """Return the file of the counts with your own PKI: next to the access file."""
    return access.with_name(f"{access.name}.{COUNTS_NAME}")


def open_counts(path: Path, url: str | None) -> Counts:
    """Return the counts of a file, or of the PostgreSQL database of a URL.

    Raises:
        UsageError: the URL cannot be used.
        CredentialsError: the counts cannot be used, or a later version wrote them.
    """
    # A power cut may take the last moments' counts.
    database = Database.sqlite(path, lasting=False) if url is None else Database.postgresql(url)
    try:
        database.migrate()
    except BaseException:
        database.close()
        raise
    return Counts(database)


def begin_counts(path: Path, url: str | None) -> Counts:
    """Return the counts of this service, the only one that a file may have.

    Raises:
        UsageError: the URL cannot be used.
        CredentialsError: the counts cannot be used, or another service has them.
    """
    lock = lock_counts(path) if url is None else None
    counts = open_counts(path, url)
    counts.begin()
    counts.lock = lock
    return counts


def lock_counts(path: Path) -> BinaryIO:
    """Take the lock of the service that uses a file of counts; it ends with the process.

    Raises:
        CredentialsError: another service has it, or it cannot be taken.
    """
    try:
        return os.fdopen(open_locked(path.parent / f"{path.name}.lock"), "r+b")
    except BlockingIOError as error:
        raise CredentialsError(
            f"another duet-cloud serve uses {path.parent}: stop it, or give all services one "
            "PostgreSQL database (--database)"
        ) from error
    except OSError as error:
        raise CredentialsError(f"cannot write next to {path}: {error.strerror}") from error
