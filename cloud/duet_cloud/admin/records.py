"""`move`: takes an authority's records from its directory to a database that replicas share."""

from pathlib import Path

import click
from sqlalchemy import MetaData

from duet_cloud.admin.options import database_option, directory_option
from duet_cloud.errors import CredentialsError, UsageError
from duet_cloud.identity import authority_directory
from duet_cloud.identity.counts import COUNTS_NAME, lock_counts, open_counts
from duet_cloud.identity.database import Database
from duet_cloud.identity.migrations import VERSIONS
from duet_contract.terminal import counted

# Of a service that runs, and of the tables themselves.
_LEFT = {"running", "services", VERSIONS}


@click.command()
@directory_option
@database_option
def move(directory: Path, database: str | None) -> None:
    """Move the registry and the counts to an empty PostgreSQL database.

    Stop the service before. The files in the directory get the ending .moved.
    """
    if database is None:
        raise UsageError("give the database: --database postgresql://USER@HOST/NAME")
    counts_path = directory / COUNTS_NAME
    lock = lock_counts(counts_path)
    target = Database.postgresql(database)
    target.migrate()
    registry = authority_directory.open_registry(directory)
    authority_directory.set_owner(
        registry, authority_directory.load_certificate(directory, even_ended=True)
    )
    counts = open_counts(counts_path, None)
    with target.transaction():
        if _rows(target):
            raise CredentialsError(f"{target.name} is not empty: give an empty database")
        rows = _copy(registry.database, target) + _copy(counts.database, target)
    registry.database.close()
    counts.close()
    target.close()
    for path in (directory / authority_directory.REGISTRY_NAME, counts_path):
        path.rename(path.with_name(f"{path.name}{authority_directory.MOVED}"))
    lock.close()
    click.echo(f"{counted(rows, 'record')} moved to {target.name}")
    click.echo("next: serve and administer with --database, or DUET_DATABASE", err=True)


def _rows(database: Database) -> int:
    """Return the number of records in a database."""
    with database.connection() as connection:
        tables = MetaData()
        tables.reflect(connection)
        return sum(
            len(connection.execute(table.select().limit(1)).all())
            for table in tables.sorted_tables
            if table.name not in _LEFT
        )


def _copy(source: Database, target: Database) -> int:
    """Copy every record; return how many there are."""
    copied = 0
    with source.connection() as read, target.connection() as write:
        tables = MetaData()
        tables.reflect(read)
        for table in tables.sorted_tables:
            rows = [dict(row._mapping) for row in read.execute(table.select())]
            if rows and table.name not in _LEFT:
                write.execute(table.insert(), rows)
                copied += len(rows)
    return copied
