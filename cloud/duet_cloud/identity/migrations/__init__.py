"""Versions of the database's tables, with Alembic; `versions/` has one file each.

A change of tables is another file there and another entry of `KNOWN`. Replicas of two versions run
next to each other during an upgrade, so a version may add tables and columns, and drop only what the
version before it no longer used.
"""

from pathlib import Path

from sqlalchemy import Connection

VERSIONS = "alembic_version"
"""Alembic's table."""
KNOWN = ("0001",)
"""Versions in order, the present one last."""


def upgrade(connection: Connection) -> None:
    """Bring the tables to the present version, within the connection's transaction."""
    # Imported where it is needed: most commands find an up-to-date database.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
