"""The counts of the quotas: questions a minute, questions at a time, tokens a day.

Each method is one statement or one transaction, so that counts are exact whatever ends half-way,
and across services that share a database. There, time is the database's: a service's clock that
is behind would forget what another one counted.
"""

import datetime
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import Connection

from duet_cloud.identity.access import Access, Limits
from duet_cloud.identity.database import Database, statement
from duet_cloud.status import Refusal, over_quota

RATE_WINDOW_S = 60.0
LEASE_S = 15.0
"""Time that running questions of a service still count when it has gone, in seconds."""
# Usage of older days is deleted.
_KEEP_DAYS = 400
_FOR_EVER = 1e300


class Counts:
    """Counts of one service. Its methods block; they may be called from any thread.

    Args:
        database: where the counts are; `Database.migrate` was called.
        clock: seconds since 1970; of a shared database, the database's own unless this is given.
    """

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        self.database = database
        self._clock = clock
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
        """Begin to count for this service.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.database.transaction() as connection:
            now = self._now(connection)
            oldest = _date(now - _KEEP_DAYS * 86400).isoformat()
            connection.execute(
                statement("DELETE FROM tokens WHERE day < :oldest"), {"oldest": oldest}
            )
            if not self.database.shared:
                # The only service: what is left is of one that was killed.
                connection.execute(statement("DELETE FROM services"))
            connection.execute(
                statement(
                    "DELETE FROM running WHERE service NOT IN "
                    "(SELECT service FROM services WHERE until > :now)"
                ),
                {"now": now},
            )
            connection.execute(statement("DELETE FROM services WHERE until <= :now"), {"now": now})
            self._extend(connection, now + LEASE_S if self.database.shared else _FOR_EVER)

    def extend(self) -> None:
        """Say that this service runs; a shared database forgets it otherwise after `LEASE_S`.

        Numbers of running questions that could not be stored, or that another service deleted while
        this one had no database, are stored again.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.database.connection() as connection:
            if self.database.shared:
                self._extend(connection, self._now(connection) + LEASE_S)
            rows = connection.execute(
                statement(
                    "SELECT identity, number FROM running WHERE service = :service AND number > 0"
                ),
                {"service": self._service},
            ).fetchall()
        stored = {(str(name), int(number)) for name, number in rows}
        with self._running_lock:
            present = set(self._running.items())
        for name in {name for name, _ in stored ^ present}:
            self.store(name)

    def _extend(self, connection: Connection, until: float) -> None:
        connection.execute(
            statement(
                "INSERT INTO services (service, until) VALUES (:service, :until) "
                "ON CONFLICT (service) DO UPDATE SET until = excluded.until"
            ),
            {"service": self._service, "until": until},
        )

    def admit(self, name: str, limits: Limits) -> bool:
        """Count a question that begins; return whether it counts as running until `leave`.

        Raises:
            Refusal: RESOURCE_EXHAUSTED, naming the limit and when it resets; nothing is counted.
            DatabaseError: the database cannot be used.
        """
        if limits.concurrency is None and limits.rate is None:
            if limits.tokens is not None:
                with self.database.connection() as connection:
                    self._check_tokens(connection, name, limits.tokens)
            return False
        with ExitStack() as failed:
            with self.database.transaction() as connection:
                self._lock(connection, name)
                now = self._now(connection)
                if limits.concurrency is not None:
                    self._check_running(connection, name, limits.concurrency, now)
                if limits.tokens is not None:
                    self._check_tokens(connection, name, limits.tokens)
                if limits.rate is not None:
                    self._count(connection, name, limits.rate, now)
                if limits.concurrency is not None:
                    with self._running_lock:
                        self._running[name] += 1
                    failed.callback(self.leave, name)
                    self._store(connection, name)
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
        """Store how many questions of an identity this service runs; may be repeated.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.database.transaction() as connection:
            self._lock(connection, name)
            self._store(connection, name)

    def charge(self, name: str, day: str, tokens: int, limit: int) -> bool:
        """Charge tokens; return whether the limit has room for them.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.database.connection() as connection:
            row = connection.execute(
                statement(
                    "INSERT INTO tokens (identity, day, spent) "
                    "SELECT CAST(:name AS TEXT), CAST(:day AS TEXT), CAST(:tokens AS BIGINT) "
                    "WHERE CAST(:tokens AS BIGINT) <= CAST(:limit AS BIGINT) "
                    "ON CONFLICT (identity, day) DO UPDATE "
                    "SET spent = tokens.spent + excluded.spent "
                    "WHERE tokens.spent + excluded.spent <= CAST(:limit AS BIGINT) "
                    "RETURNING spent"
                ),
                {"name": name, "day": day, "tokens": tokens, "limit": limit},
            ).first()
        return row is not None

    def add(self, name: str, day: str, tokens: int) -> None:
        """Add tokens, or take them back if negative, whatever the limit.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.database.connection() as connection:
            connection.execute(
                statement(
                    "INSERT INTO tokens (identity, day, spent) VALUES (:name, :day, :tokens) "
                    "ON CONFLICT (identity, day) DO UPDATE "
                    "SET spent = tokens.spent + excluded.spent"
                ),
                {"name": name, "day": day, "tokens": tokens},
            )

    def spent(self, name: str) -> int:
        """Return the tokens that an identity used today.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.database.connection() as connection:
            return self._spent(connection, name)

    def day(self) -> str:
        """Return today (UTC, ISO 8601)."""
        return _date((self._clock or time.time)()).isoformat()

    def usage(self, access: Access, days: int = 1) -> "list[Usage]":
        """Return tokens by day, the newest day first, and by identity, who spent most first.

        `days`: how many, today the last.

        Raises:
            DatabaseError: the database cannot be used.
        """
        first = _date((self._clock or time.time)()) - datetime.timedelta(days=days - 1)
        with self.database.connection() as connection:
            rows = connection.execute(
                statement(
                    "SELECT identity, day, spent FROM tokens WHERE day >= :first "
                    "ORDER BY day DESC, spent DESC, identity"
                ),
                {"first": first.isoformat()},
            ).fetchall()
        return [Usage(name, day, spent, access.limits_of(name).tokens) for name, day, spent in rows]

    def out_of_tokens(self, name: str, limit: int, wanted: int) -> Refusal:
        """Return the refusal of a question that may take `wanted` tokens; 0: not known yet.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.database.connection() as connection:
            return self._out_of_tokens(connection, name, limit, wanted)

    def _lock(self, connection: Connection, name: str) -> None:
        """Let one transaction at a time count questions of an identity."""
        # SQLite has one transaction in all.
        if self.database.shared:
            connection.execute(
                statement("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
                {"name": name},
            )

    def _check_running(self, connection: Connection, name: str, limit: int, now: float) -> None:
        # This service's number is the one in memory, whatever the database has of it.
        others = connection.execute(
            statement(
                "SELECT COALESCE(SUM(number), 0) FROM running "
                "JOIN services ON services.service = running.service "
                "WHERE identity = :name AND until > :now AND running.service <> :service"
            ),
            {"name": name, "now": now, "service": self._service},
        ).scalar_one()
        with self._running_lock:
            running = others + self._running[name]
        if running >= limit:
            raise over_quota(
                name,
                "concurrency",
                f"limit of {name}: {limit} questions at a time; resets when one of them ends",
                1.0,
            )

    def _store(self, connection: Connection, name: str) -> None:
        # Read while the identity is locked: an older number never replaces a newer one.
        with self._running_lock:
            number = self._running[name]
        connection.execute(
            statement(
                "INSERT INTO running (identity, service, number) "
                "VALUES (:name, :service, :number) "
                "ON CONFLICT (identity, service) DO UPDATE SET number = excluded.number"
            ),
            {"name": name, "service": self._service, "number": number},
        )

    def _check_tokens(self, connection: Connection, name: str, limit: int) -> None:
        if self._spent(connection, name) >= limit:
            raise self._out_of_tokens(connection, name, limit, 0)

    def _count(self, connection: Connection, name: str, rate: int, now: float) -> None:
        since = now - RATE_WINDOW_S
        # Where a clock was set back, questions are in the future: those are forgotten, so that no
        # limit of a minute waits for more than a minute.
        connection.execute(
            statement(
                "DELETE FROM questions WHERE identity = :name AND (at <= :since OR at > :now)"
            ),
            {"name": name, "since": since, "now": now},
        )
        # The question whose end of a minute makes room for one more, if there is no room.
        at = connection.execute(
            statement(
                "SELECT at FROM questions WHERE identity = :name ORDER BY at DESC "
                "LIMIT 1 OFFSET :before"
            ),
            {"name": name, "before": max(0, rate - 1)},
        ).scalar()
        if at is None and rate:
            connection.execute(
                statement("INSERT INTO questions (identity, at) VALUES (:name, :now)"),
                {"name": name, "now": now},
            )
            return
        wait = RATE_WINDOW_S if at is None else at + RATE_WINDOW_S - now
        raise over_quota(
            name,
            "rate",
            f"limit of {name}: {rate} questions a minute; resets in {wait:.0f} s",
            wait,
        )

    def _spent(self, connection: Connection, name: str) -> int:
        row = connection.execute(
            statement("SELECT spent FROM tokens WHERE identity = :name AND day = :day"),
            {"name": name, "day": self.day()},
        ).first()
        return int(row[0]) if row else 0

    def _out_of_tokens(self, connection: Connection, name: str, limit: int, wanted: int) -> Refusal:
        wait = 86400 - (self._clock or time.time)() % 86400
        hours, minutes = divmod(int(wait // 60), 60)
        spent = self._spent(connection, name)
        asks = f", this question may take {wanted}" if wanted else ""
        return over_quota(
            name,
            "tokens",
            f"limit of {name}: {limit} tokens a day, {spent} are spent{asks}; "
            f"resets at 00:00 UTC, in {hours} h {minutes} min",
            wait,
        )

    def _now(self, connection: Connection) -> float:
        if self._clock or not self.database.shared:
            return (self._clock or time.time)()
        query = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
        return float(connection.execute(statement(query)).scalar_one())


@dataclass(frozen=True)
class Usage:
    """Tokens that an identity used on a day (UTC, ISO 8601), and its present limit."""

    name: str
    day: str
    tokens: int
    limit: int | None


def _date(at: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date()
