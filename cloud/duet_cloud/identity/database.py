"""Where records and counts are: SQLite files of one service, or PostgreSQL of several replicas.

Functions that use a database block, so that the service calls them in threads (`Database.call`): a
lock that another process holds, or a server that does not answer, never stops its event loop.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Row, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

import duet_cloud
from duet_cloud.errors import CredentialsError, Exit, UsageError
from duet_cloud.identity import migrations
from duet_contract.console import install_command

WAIT_S = 5.0
"""Time that a call waits for a lock or for an answer, in seconds."""
_CONNECT_S = 3
_THREADS = 8
# Any number, the same in all replicas: of the lock that one of them migrates under.
_MIGRATION_LOCK = 0x64756574
_MIGRATION_TIME = "10min"
_SCHEMES = ("postgresql", "postgresql+psycopg")

_Result = TypeVar("_Result")

statement = cache(text)
"""A statement of SQL, parsed once."""


class DatabaseError(CredentialsError):
    """The database is away, locked, full, or does not answer in time."""


class SharedDatabaseError(DatabaseError):
    """A PostgreSQL database that cannot be used; it may come back by itself."""

    exit_code = Exit.DATABASE


class Database:
    """An open database. Its blocking methods may be called from any thread.

    Args:
        engine: SQLAlchemy's.
        name: what messages call it; without a password.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name
        self.shared = engine.dialect.name == "postgresql"
        """Whether several services may use it at a time."""
        # Statements of one line each, which commit by themselves.
        self._single = engine
        if self.shared:
            self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        # In SQLite, of transactions that write: the lock is taken at their start.
        self._writing = engine.execution_options(immediate=True)
        self._open = threading.local()
        self._threads = ThreadPoolExecutor(_THREADS, "duet-database")

    @classmethod
    def sqlite(cls, path: Path, *, lasting: bool = True) -> "Database":
        """Return a file's database; the file is made when it is first used.

        `lasting`: whether what is written survives a power cut; otherwise the end of the process.
        """
        engine = create_engine(
            URL.create("sqlite", database=str(path)),
            connect_args={"timeout": WAIT_S},
            pool_size=_THREADS,
            max_overflow=1,
            pool_timeout=WAIT_S,
        )
        pragmas = ("journal_mode = WAL", "foreign_keys = ON")
        synchronous = f"synchronous = {'FULL' if lasting else 'NORMAL'}"

        def connected(connection: Any, _record: object) -> None:
            # Transactions are ours to begin.
            connection.isolation_level = None
            for pragma in (*pragmas, synchronous):
                connection.execute(f"PRAGMA {pragma}")

        def begun(connection: Connection) -> None:
            if connection.get_execution_options().get("immediate"):
                connection.exec_driver_sql("BEGIN IMMEDIATE")

        event.listen(engine, "connect", connected)
        event.listen(engine, "begin", begun)
        return cls(engine, str(path))

    @classmethod
    def postgresql(cls, url: str) -> "Database":
        """Return the database of a URL: `postgresql://USER@HOST:PORT/NAME?sslmode=verify-full`.

        Raises:
            UsageError: the URL is malformed or of another database, or the driver is missing.
        """
        try:
            parsed = make_url(url)
            scheme = parsed.drivername
        except (ArgumentError, ValueError):
            scheme = ""
        if scheme not in _SCHEMES:
            raise UsageError(
                f"--database cannot use {scheme or 'this URL'}: give postgresql://USER@HOST/NAME, "
                "or leave it out for SQLite"
            )
        usual: dict[str, Any] = {
            "application_name": "duet-cloud",
            # A database without an encoding would return bytes where text is.
            "client_encoding": "utf8",
            "connect_timeout": _CONNECT_S,
            "tcp_user_timeout": round(WAIT_S * 1000),
            # PgBouncer has a statement that one connection prepared run on another one.
            "prepare_threshold": None,
        }
        parsed = parsed.set(drivername="postgresql+psycopg")
        try:
            engine = create_engine(
                parsed,
                connect_args={k: v for k, v in usual.items() if k not in parsed.query},
                pool_size=_THREADS,
                max_overflow=1,
                pool_timeout=WAIT_S,
            )
        except ImportError as error:
            driver = install_command(
                duet_cloud.__file__, ("cloud[postgresql]",), "duet-cloud[postgresql]"
            )
            raise UsageError(f"--database needs a driver for PostgreSQL: {driver}") from error
        if "statement_timeout" not in str(parsed.query.get("options", "")):
            event.listen(engine, "connect", _limit_statements)
        shown = parsed.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
        return cls(engine, shown)

    def migrate(self) -> None:
        """Make the tables, or bring those of an earlier version to this one.

        Raises:
            CredentialsError: a later version wrote the database.
            DatabaseError: it cannot be used.
        """
        if self._check_version():
            return
        with self.transaction() as connection:
            if self.shared:
                # Rows of years take longer than a call may, and other replicas wait meanwhile.
                self.change(f"SET LOCAL statement_timeout = '{_MIGRATION_TIME}'")
                self.one("SELECT pg_advisory_xact_lock(:lock)", lock=_MIGRATION_LOCK)
            # Another replica, or another command, may have done it meanwhile.
            if not self._check_version():
                migrations.upgrade(connection)

    def check(self) -> str:
        """Describe the database and its version; change nothing.

        Raises:
            CredentialsError: a later version wrote the database.
            DatabaseError: it cannot be used.
        """
        version = "up to date" if self._check_version() else "to be migrated at the start"
        return f"{self.name}: {version}"

    def _check_version(self) -> bool:
        """Return whether the tables are those of this version; False if they have to be migrated."""
        found = self.version()
        if found is not None and found not in migrations.KNOWN:
            raise CredentialsError(
                f"{self.name} was written by a later version (schema {found}, this one knows "
                f"{migrations.KNOWN[-1]}): upgrade duet-cloud, or restore a backup"
            )
        return found == migrations.KNOWN[-1]

    def version(self) -> str | None:
        """Return the version of the tables; None of those that were made before versions."""
        if not self.has(migrations.VERSIONS):
            return None
        found = self.one("SELECT version_num FROM alembic_version")
        return None if found is None else str(found[0])

    def has(self, table: str) -> bool:
        """Return whether there is a table of that name."""
        with self.connection() as connection:
            return inspect(connection).has_table(table)

    def ping(self) -> None:
        """Read something.

        Raises:
            DatabaseError: it cannot be read.
        """
        self.one("SELECT version_num FROM alembic_version")

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Give a connection whose statements each commit; within `transaction`, the transaction's.

        Raises:
            DatabaseError: the database cannot be used.
        """
        present = getattr(self._open, "connection", None)
        if present is not None:
            yield present
            return
        with self._errors(), self._single.connect() as connection:
            yield connection

    def one(self, sql: str, **values: object) -> Row[*tuple[Any, ...]] | None:
        """Return the first row of a statement; None if it has none.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self.connection() as connection:
            return connection.execute(statement(sql), values).first()

    def all(self, sql: str, **values: object) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return the rows of a statement; see `one`."""
        with self.connection() as connection:
            return connection.execute(statement(sql), values).fetchall()

    def change(self, sql: str, **values: object) -> int:
        """Return the number of rows that a statement changed; see `one`."""
        with self.connection() as connection:
            return connection.execute(statement(sql), values).rowcount

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Everything inside happens, or nothing; others see it all at once.

        Inside another transaction of this thread, it is part of that one. In SQLite, one at a time.

        Raises:
            DatabaseError: the database cannot be used.
        """
        present = getattr(self._open, "connection", None)
        if present is not None:
            yield present
            return
        with self._errors(), self._writing.begin() as connection:
            self._open.connection = connection
            try:
                yield connection
            finally:
                self._open.connection = None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise self._error(f"cannot use the database {self.name}: {reason}") from error

    async def call(
        self,
        function: Callable[[], _Result],
        undo: Callable[[_Result], None] | None = None,
    ) -> _Result:
        """Call a function in a thread.

        Args:
            function: blocks.
            undo: called with the result, in a thread, when the caller is gone or waits no longer.

        Raises:
            DatabaseError: the database cannot be used, or there is no answer in twice `WAIT_S`.
        """
        try:
            work = self._threads.submit(function)
        except RuntimeError as error:
            raise self._error(f"the database {self.name} is closed") from error
        try:
            async with asyncio.timeout(2 * WAIT_S):
                return await asyncio.wrap_future(work)
        except (TimeoutError, asyncio.CancelledError) as error:
            if not work.cancel() and undo:
                work.add_done_callback(lambda done: self._undo(done, undo))
            if isinstance(error, TimeoutError):
                raise self._error(f"the database {self.name} does not answer") from error
            raise

    def _error(self, message: str) -> DatabaseError:
        return SharedDatabaseError(message) if self.shared else DatabaseError(message)

    def _undo(self, done: Future[_Result], undo: Callable[[_Result], None]) -> None:
        if done.exception() is None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self._threads.submit(undo, done.result())

    def close(self) -> None:
        """Close every connection."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()


def _limit_statements(connection: Any, _record: object) -> None:
    """Set the time that a statement may take; PgBouncer refuses it as an option of the connection."""
    try:
        connection.autocommit = True
        connection.execute(f"SET statement_timeout = {round(WAIT_S * 1000)}")
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
