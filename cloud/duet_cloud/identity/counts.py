"""The counts of the quotas: questions a minute, questions at a time, tokens a day.

Each method is one statement or one transaction, so that counts are exact whatever ends half-way,
and across services that share a database. There, time is the database's: a service's clock that
is behind would forget what another one counted.
"""

import datetime
import time
import uuid
from collections.abc import Callable
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

        Raises:
            DatabaseError: the database cannot be used.
        """
        if not self.database.shared:
            self.database.ping()
            return
        with self.database.connection() as connection:
            self._extend(connection, self._now(connection) + LEASE_S)

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
        with self.database.transaction() as connection:
            if self.database.shared:
                # One question of an identity at a time; SQLite has one transaction in all.
                connection.execute(
                    statement("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
                    {"name": name},
                )
            now = self._now(connection)
            if limits.concurrency is not None:
                self._run(connection, name, limits.concurrency, now)
            if limits.tokens is not None:
                self._check_tokens(connection, name, limits.tokens)
            if limits.rate is not None:
                self._count(connection, name, limits.rate, now)
        return limits.concurrency is not None

    def leave(self, name: str) -> None:
        """Count a running question that `admit` counted no longer.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.database.connection() as connection:
            connection.execute(
                statement(
                    "UPDATE running SET number = number - 1 "
                    "WHERE identity = :name AND service = :service AND number > 0"
                ),
                {"name": name, "service": self._service},
            )

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

    def _run(self, connection: Connection, name: str, limit: int, now: float) -> None:
        running = connection.execute(
            statement(
                "SELECT COALESCE(SUM(number), 0) FROM running "
                "JOIN services ON services.service = running.service "
                "WHERE identity = :name AND until > :now"
            ),
            {"name": name, "now": now},
        ).scalar_one()
        if running >= limit:
            raise over_quota(
                name,
                "concurrency",
                f"limit of {name}: {limit} questions at a time; resets when one of them ends",
                1.0,
            )
        connection.execute(
            statement(
                "INSERT INTO running (identity, service, number) VALUES (:name, :service, 1) "
                "ON CONFLICT (identity, service) DO UPDATE SET number = running.number + 1"
            ),
            {"name": name, "service": self._service},
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
