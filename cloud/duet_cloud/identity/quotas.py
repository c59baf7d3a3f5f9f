"""Limits for each identity: questions a minute, questions at a time, tokens a day.

Tokens are counted for every identity, questions for those that have a limit. Counts are in SQLite
and change in one transaction each, so that they hold across restarts and between processes. A
question is charged its maximum when it begins, and the unused part is refunded when it ends: a
limit is never exceeded, and a question that a crash interrupted counts in full. Questions at a time
are counted per process.

Times are the wall clock's, as they outlive the process. A clock that is set back leaves questions
in the future: those are forgotten, so that no limit of a minute ever waits for more than a minute.
"""

import datetime
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from duet_cloud import logs
from duet_cloud.engine import Job
from duet_cloud.errors import CredentialsError
from duet_cloud.identity.access import Access, AccessFile
from duet_cloud.identity.callers import CALLER
from duet_cloud.log_limit import LogLimit
from duet_cloud.status import Refusal, over_quota, unavailable

RATE_WINDOW_S = 60.0
# Usage of older days is deleted.
_KEEP_DAYS = 400
# How long others may hold the file's lock: with a limit to enforce, and without one.
_WAIT_MS, _BRIEF_WAIT_MS = 5000, 50

_SCHEMA = """
CREATE TABLE IF NOT EXISTS questions (identity TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS questions_of ON questions (identity, at);
CREATE TABLE IF NOT EXISTS tokens (
  identity TEXT NOT NULL, day TEXT NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (identity, day)
) STRICT, WITHOUT ROWID;
"""


@dataclass
class Charge:
    """What one question costs."""

    spent: int = 0
    """Prompt and signal tokens used so far."""


class Quotas:
    """Counts and refuses. Use from one thread."""

    def __init__(
        self, path: Path, access: AccessFile, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the counts, or begin them.

        Raises:
            CredentialsError: they cannot be read or written.
        """
        self._access = access
        self._clock = clock
        self._running: Counter[str] = Counter()
        # Once a minute, not at each question.
        self._log_limit = LogLimit()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_MS / 1000)
            self._db.execute("PRAGMA journal_mode = WAL")
            # Survives the end of the process; a power cut may take the last moments' counts.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
            oldest = _date(clock() - _KEEP_DAYS * 86400)
            self._db.execute("DELETE FROM tokens WHERE day < ?", (oldest.isoformat(),))
        except sqlite3.Error as error:
            raise CredentialsError(f"{path} cannot be used to count: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def question(self, name: str) -> Iterator[None]:
        """Count one of the identity's questions while it runs.

        Raises:
            Refusal: RESOURCE_EXHAUSTED, naming the limit and when it resets; UNAVAILABLE if there
                is a limit and the counts cannot be read or written.
        """
        limits = self._access.access.limits_of(name)
        now = self._clock()
        if limits.concurrency is not None and self._running[name] >= limits.concurrency:
            raise over_quota(
                name,
                "concurrency",
                f"limit of {name}: {limits.concurrency} questions at a time; "
                "resets when one of them ends",
                1.0,
            )
        with self._counting():
            if limits.tokens is not None and self.spent(name) >= limits.tokens:
                raise self._out_of_tokens(name, limits.tokens, 0)
            if limits.rate is not None:
                self._count(name, limits.rate, now)
        self._running[name] += 1
        try:
            yield
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]

    def charge(self, job: Job) -> AbstractContextManager["Charge"]:
        """Charge a job to the caller of the call that is being served; see `tokens`."""
        caller = CALLER.get()
        assert caller is not None, "only calls of an identity are charged"
        return self.tokens(caller.name, len(job.prompt_ids) + job.budget)

    @contextmanager
    def tokens(self, name: str, most: int) -> Iterator["Charge"]:
        """Charge `most` tokens; refund those that `Charge.spent` does not reach at the end.

        Without a limit, tokens that cannot be counted are served all the same.

        Raises:
            Refusal: as `question` does.
        """
        limit = self._access.access.limits_of(name).tokens
        day = self._day()
        charged = False
        with self._counting() if limit is not None else self._counting_briefly():
            charged = self._charge(name, day, most, limit)
            if not charged and limit is not None:
                raise self._out_of_tokens(name, limit, most)
        counted = Charge()
        try:
            yield counted
        finally:
            # The signal is sent: without a refund the question counts in full.
            with self._counting_if_possible() if limit is not None else self._counting_briefly():
                if charged:
                    self._db.execute(
                        "UPDATE tokens SET spent = spent - ? WHERE identity = ? AND day = ?",
                        (most - counted.spent, name, day),
                    )

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Refuse what cannot be counted, so that a limit always holds.

        Raises:
            Refusal: UNAVAILABLE.
        """
        try:
            yield
        except sqlite3.Error as error:
            if (more := self._log_limit.admit()) is not None:
                logs.get().error("questions cannot be counted", reason=str(error), **more)
            raise unavailable("the service cannot count questions at present", 30.0) from error

    @contextmanager
    def _counting_if_possible(self) -> Iterator[None]:
        """Serve what cannot be counted; the log reports it."""
        with suppress(Refusal), self._counting():
            yield

    @contextmanager
    def _counting_briefly(self) -> Iterator[None]:
        """Wait only briefly where no limit depends on the count: every request waits meanwhile."""
        with self._counting_if_possible():
            self._db.execute(f"PRAGMA busy_timeout = {_BRIEF_WAIT_MS}")
            try:
                yield
            finally:
                self._db.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")

    def _charge(self, name: str, day: str, most: int, limit: int | None) -> bool:
        """Charge tokens; return whether the limit has room for them."""
        return bool(
            self._db.execute(
                "INSERT INTO tokens SELECT ?1, ?2, ?3 WHERE ?4 IS NULL OR ?3 <= ?4 "
                "ON CONFLICT DO UPDATE SET spent = spent + ?3 "
                "WHERE ?4 IS NULL OR spent + ?3 <= ?4",
                (name, day, most, limit),
            ).rowcount
        )

    def spent(self, name: str) -> int:
        """Return the tokens that an identity used today."""
        row = self._db.execute(
            "SELECT spent FROM tokens WHERE identity = ? AND day = ?", (name, self._day())
        ).fetchone()
        return int(row[0]) if row else 0

    def _count(self, name: str, rate: int, now: float) -> None:
        since = now - RATE_WINDOW_S
        # Commits; where that or anything before it fails, nothing is changed.
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "DELETE FROM questions WHERE identity = ? AND (at <= ? OR at > ?)",
                (name, since, now),
            )
            # The question whose expiry makes room for one more, if there is no room.
            row = self._db.execute(
                "SELECT at FROM questions WHERE identity = ? ORDER BY at DESC LIMIT 1 OFFSET ?",
                (name, max(0, rate - 1)),
            ).fetchone()
            if row is None and rate:
                self._db.execute("INSERT INTO questions VALUES (?, ?)", (name, now))
        if row is None and rate:
            return
        wait = row[0] + RATE_WINDOW_S - now if row else RATE_WINDOW_S
        raise over_quota(
            name,
            "rate",
            f"limit of {name}: {rate} questions a minute; resets in {wait:.0f} s",
            wait,
        )

    def _out_of_tokens(self, name: str, limit: int, wanted: int) -> Exception:
        now = self._clock()
        wait = 86400 - now % 86400
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

    def _day(self) -> str:
        return _date(self._clock()).isoformat()


def _date(at: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date()


@dataclass(frozen=True)
class Usage:
    """Tokens that an identity used on a day (UTC, ISO 8601), and its present limit."""

    name: str
    day: str
    tokens: int
    limit: int | None


def usage_of(
    path: Path, access: Access, days: int = 1, clock: Callable[[], float] = time.time
) -> list[Usage]:
    """Return tokens by day, the newest day first, and by identity, who spent most first.

    `path`: of the counts, which a running service may be writing; nothing if it is not there.
    `days`: how many, today the last.

    Raises:
        CredentialsError: they cannot be read.
    """
    if not path.is_file():
        return []
    first = _date(clock()) - datetime.timedelta(days=days - 1)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT identity, day, spent FROM tokens WHERE day >= ? "
                "ORDER BY day DESC, spent DESC, identity",
                (first.isoformat(),),
            ).fetchall()
    except sqlite3.Error as error:
        raise CredentialsError(f"{path} cannot be read: {error}") from error
    return [Usage(name, day, spent, access.limits_of(name).tokens) for name, day, spent in rows]
