"""Databases of earlier and later versions, of others, and those that cannot be used at all."""

import builtins
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from duet_cloud.errors import CredentialsError, Exit, UsageError
from duet_cloud.identity import authority as authorities
from duet_cloud.identity import authority_directory, migrations
from duet_cloud.identity.counts import open_counts
from duet_cloud.identity.database import Database, DatabaseError
from duet_cloud.identity.registry import Registry
from duet_cloud.identity.security import check_database, open_security
from duet_cloud.metrics import Metrics
from duet_cloud.options import ServeOptions
from tests.doubles import identities
from tests.doubles.commands import cloud_admin
from tests.doubles.postgres import Postgres

# As versions before these wrote them; the first ones without the certificate of a code.
OLD_REGISTRY = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE devices (
  name TEXT PRIMARY KEY, roles TEXT NOT NULL, since INTEGER NOT NULL
) STRICT;
CREATE TABLE certificates (
  serial TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices (name),
  not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, revoked INTEGER
) STRICT;
CREATE INDEX certificates_of ON certificates (device);
CREATE TABLE codes (
  hash BLOB PRIMARY KEY, device TEXT NOT NULL REFERENCES devices (name),
  expires INTEGER NOT NULL, spent INTEGER, certificate BLOB
) STRICT;
CREATE TABLE publishers (
  name TEXT PRIMARY KEY, key BLOB NOT NULL UNIQUE, since INTEGER NOT NULL
) STRICT;
INSERT INTO settings VALUES ('domain', 'test'), ('hosts', 'localhost'), ('device_days', '14.0'),
  ('server_days', '30.0');
INSERT INTO devices VALUES ('laptop', 'inference', 5);
INSERT INTO certificates VALUES ('0a', 'laptop', 5, 99999999999, NULL);
INSERT INTO codes (hash, device, expires) VALUES (x'01', 'laptop', 7);
INSERT INTO publishers VALUES ('us', x'02', 6);
"""
OLD_COUNTS = """
CREATE TABLE questions (identity TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE INDEX questions_of ON questions (identity, at);
CREATE TABLE tokens (
  identity TEXT NOT NULL, day TEXT NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (identity, day)
) STRICT, WITHOUT ROWID;
INSERT INTO tokens VALUES ('laptop', '2999-01-01', 12);
"""


def script(path: Path, statements: str) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(statements)
    connection.close()


def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Names, types, keys and whether a value is needed, of every table."""
    connection = sqlite3.connect(path)
    names = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    found = {
        name: sorted(
            (row[1], row[2].replace("BIGINT", "INTEGER").replace("DOUBLE", "REAL"), bool(row[5]))
            for row in connection.execute(f"PRAGMA table_info({name})")
        )
        for name in names
    }
    connection.close()
    return found


@pytest.mark.parametrize("column", [True, False])
def test_a_registry_of_before_versions_keeps_its_records(
    authority: authorities.Authority, column: bool
) -> None:
    path = authority.directory / "registry.db"
    authority.registry.database.close()
    new = columns(path)
    script(path, OLD_REGISTRY if column else OLD_REGISTRY.replace(", certificate BLOB", ""))
    for _ in range(2):
        registry = authority_directory.open_registry(authority.directory)
        issued = registry.certificate("0a")
        assert issued
        assert (issued.device, issued.not_after) == ("laptop", 99999999999)
        assert registry.publishers() == {"us": b"\2"}
        registry.database.close()
    assert columns(path) == new


def test_counts_of_before_versions_are_kept(tmp_path: Path) -> None:
    script(tmp_path / "counts.db", OLD_COUNTS)
    counts = open_counts(tmp_path / "counts.db", None)
    counts.begin()
    counts.add("laptop", "2999-01-01", 3)
    counts.close()
    connection = sqlite3.connect(tmp_path / "counts.db")
    assert connection.execute("SELECT * FROM tokens").fetchall() == [("laptop", "2999-01-01", 15)]
    connection.close()


def test_the_last_known_version_is_the_last_migration() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_current_head() == migrations.KNOWN[-1]
    assert {each.revision for each in scripts.walk_revisions()} == set(migrations.KNOWN)


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "postgresql":
        return Database.postgresql(request.getfixturevalue("postgres").database())
    return Database.sqlite(tmp_path / "some.db")


def test_a_database_without_an_encoding_can_be_used(postgres: Postgres) -> None:
    with closing(Database.postgresql(postgres.database("SQL_ASCII"))) as database:
        database.migrate()
        assert database.version() == migrations.KNOWN[-1]


def test_services_that_start_together_migrate_once(opened: Database) -> None:
    failures: list[BaseException] = []

    def migrate() -> None:
        try:
            opened.migrate()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert opened.version() == migrations.KNOWN[-1]
    opened.close()


def test_a_migration_may_take_longer_than_a_call(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = migrations.upgrade

    def slow(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_sleep(0.6)")
        upgrade(connection)

    monkeypatch.setattr(migrations, "upgrade", slow)
    url = postgres.database() + "&options=-c%20statement_timeout%3D200"
    with closing(Database.postgresql(url)) as database:
        database.migrate()
        assert database.version() == migrations.KNOWN[-1]
        with pytest.raises(DatabaseError, match="timeout"), database.connection() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(0.6)")


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def later(path: Path) -> None:
    """As a later version would leave it."""
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.commit()
    connection.close()


LATER = r"was written by a later version \(schema 0999, this one knows 0001\): upgrade duet-cloud"


def test_a_later_version_of_a_file_is_refused_and_unchanged(
    authority: authorities.Authority, options: ServeOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = authority.directory
    authority.registry.database.close()
    later(directory / "registry.db")
    before = files(directory)
    for use in (
        authority_directory.open_registry,
        lambda it: check_database(ServeOptions(tls_dir=it)),
    ):
        with pytest.raises(CredentialsError, match=LATER):
            use(directory)
    assert cloud_admin(["devices", "--dir", str(directory)]) == Exit.CREDENTIALS
    assert capsys.readouterr().err.count("\n") == 1
    assert files(directory) == before
    open_counts(directory / "counts.db", None).close()
    later(directory / "counts.db")
    with pytest.raises(CredentialsError, match=LATER):
        open_counts(directory / "counts.db", None)


def test_a_later_version_of_a_shared_database(postgres, tmp_path, options) -> None:  # type: ignore[no-untyped-def]
    url = postgres.database()
    authority = identities.make_authority(tmp_path / "authority", url)
    with authority.registry.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    served = ServeOptions(tls_dir=authority.directory, database=url)
    for use in (
        lambda: authority_directory.open_registry(authority.directory, url),
        lambda: check_database(served),
        lambda: open_security(served, Metrics().refused),
    ):
        with pytest.raises(CredentialsError, match=LATER):
            use()
    authority.registry.database.close()


def test_two_services_with_one_directory(
    authority: authorities.Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ServeOptions(tls_dir=authority.directory)
    first = open_security(options, Metrics().refused)
    before = files(authority.directory)
    with pytest.raises(CredentialsError, match=r"another duet-cloud serve uses .*--database"):
        open_security(options, Metrics().refused)
    assert files(authority.directory) == before
    # Commands work next to it.
    assert cloud_admin(["invite", "laptop", "--dir", str(authority.directory)]) == Exit.OK
    assert first
    first._quotas.counts.close()
    again = open_security(options, Metrics().refused)
    assert again
    again._quotas.counts.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:secret@host/x", "cannot use mysql: give postg"),  # pragma: allowlist secret
        ("sqlite:///some.db", "cannot use sqlite: give postgresql://"),
        ("secret", "cannot use this URL: give postgresql://"),
        ("", "cannot use this URL"),
        ("postgresql://me:secret@host:port/x", "cannot use this URL"),  # pragma: allowlist secret
    ],
)
def test_urls_that_cannot_be_used(
    authority: authorities.Authority, capsys: pytest.CaptureFixture[str], url: str, message: str
) -> None:
    before = files(authority.directory)
    arguments = ["devices", "--dir", str(authority.directory), "--database", url]
    assert cloud_admin(arguments) == Exit.USAGE
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "secret" not in error
    assert files(authority.directory) == before
    with pytest.raises(UsageError, match=message):
        check_database(ServeOptions(tls_dir=authority.directory, database=url))


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def lacks(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "psycopg":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", lacks)
    with pytest.raises(UsageError, match=r"pip install '.*cloud\[postgresql\]'"):
        Database.postgresql("postgresql://me@host/duet")


def test_a_server_that_does_not_answer_is_told_without_its_password(
    authority: authorities.Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/duet?sslpassword=secret"  # pragma: allowlist secret
    arguments = ["devices", "--dir", str(authority.directory), "--database", url]
    assert cloud_admin(arguments) == Exit.DATABASE
    error = capsys.readouterr().err
    assert "cannot use the database postgresql://me:***@127.0.0.1:1/duet: " in error
    assert error.count("\n") == 1
    assert "secret" not in error


def test_a_check_describes_a_database_and_changes_nothing(postgres, tmp_path) -> None:  # type: ignore[no-untyped-def]
    url = postgres.database()
    options = ServeOptions(access=tmp_path / "access.toml", database=url)
    described = check_database(options)
    assert described
    assert described.endswith(": to be migrated at the start")
    database = Database.postgresql(url)
    assert not database.has("settings")
    database.migrate()
    assert str(check_database(options)).endswith(": up to date")
    database.close()
    assert check_database(ServeOptions()) is None
    assert check_database(ServeOptions(access=tmp_path / "access.toml")) is None
    with pytest.raises(CredentialsError, match="has no 'domain' of an authority"):
        check_database(ServeOptions(tls_dir=tmp_path, database=url))


def test_a_database_of_another_authority(postgres, tmp_path) -> None:  # type: ignore[no-untyped-def]
    url = postgres.database()
    identities.make_authority(tmp_path / "one", url).registry.database.close()
    with pytest.raises(CredentialsError, match="has the records of another authority"):
        identities.make_authority(tmp_path / "two", url)
    assert not (tmp_path / "two").exists()
    identities.make_authority(tmp_path / "three").registry.database.close()
    with pytest.raises(CredentialsError, match="has the records of another authority"):
        authority_directory.open_registry(tmp_path / "three", url)


def test_an_empty_database_has_no_registry(postgres, authority) -> None:  # type: ignore[no-untyped-def]
    url = postgres.database()
    with pytest.raises(CredentialsError, match="has no registry of an authority"):
        authority_directory.open_registry(authority.directory, url)
    database = Database.postgresql(url)
    assert not database.has("settings")
    database.close()


def test_records_move_to_a_shared_database(  # type: ignore[no-untyped-def]
    postgres, authority, tmp_path, capsys, monkeypatch
) -> None:
    directory, url = authority.directory, postgres.database()
    identities.device(authority)
    authority.registry.add_publisher("us", b"k" * 32, 5)
    counts = open_counts(directory / "counts.db", None)
    counts.add("laptop", counts.day(), 7)
    counts.close()
    before = authority.registry.devices(0)
    authority.registry.database.close()
    assert cloud_admin(["move", "--dir", str(directory)]) == Exit.USAGE
    served = open_security(ServeOptions(tls_dir=directory), Metrics().refused)
    assert served
    assert cloud_admin(["move", "--dir", str(directory), "--database", url]) == Exit.CREDENTIALS
    assert "another duet-cloud serve" in capsys.readouterr().err
    served._quotas.counts.close()
    monkeypatch.setenv("DUET_DATABASE", url)
    assert cloud_admin(["move", "--dir", str(directory)]) == Exit.OK
    assert "moved to postgresql://" in capsys.readouterr().out
    registry = authority_directory.open_registry(directory, url)
    assert registry.devices(0) == before
    assert registry.publishers() == {"us": b"k" * 32}
    registry.database.close()
    assert cloud_admin(["usage", "--dir", str(directory)]) == Exit.OK
    assert "7 " in capsys.readouterr().out
    # Nothing reads the old records by mistake.
    monkeypatch.delenv("DUET_DATABASE")
    capsys.readouterr()
    assert cloud_admin(["devices", "--dir", str(directory)]) == Exit.CREDENTIALS
    assert "was moved to a database: give --database" in capsys.readouterr().err
    # A database that holds records is not added to.
    identities.make_authority(tmp_path / "other").registry.database.close()
    other = ["move", "--dir", str(tmp_path / "other"), "--database", url]
    assert cloud_admin(other) == Exit.CREDENTIALS
    assert "is not empty" in capsys.readouterr().err
    assert (tmp_path / "other" / "registry.db").exists()


def test_commands_work_with_a_shared_database(postgres, tmp_path, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("DUET_DATABASE", postgres.database())
    monkeypatch.setenv("DUET_AUTHORITY", str(tmp_path / "made"))
    for arguments in (
        ["init", "--host", "gpu.example.org"],
        ["invite", "laptop"],
        ["devices"],
        ["revoke", "laptop"],
        ["usage"],
        ["publisher", "list"],
        ["rotate", "--host", "gpu2.example.org"],
        ["show"],
    ):
        assert cloud_admin(arguments) == Exit.OK, capsys.readouterr().err
    assert "gpu2.example.org" in capsys.readouterr().out
    assert not (tmp_path / "made" / "registry.db").exists()
    shutil.rmtree(tmp_path / "made")


def test_settings_of_a_registry_are_replaced(opened: Database) -> None:
    opened.migrate()
    registry = Registry(opened)
    for value in ("one", "two"):
        registry.set("domain", value)
    assert registry.setting("domain") == "two"
    registry.clear_settings()
    with pytest.raises(CredentialsError, match="has no 'domain'"):
        registry.setting("domain")
    registry.database.close()
