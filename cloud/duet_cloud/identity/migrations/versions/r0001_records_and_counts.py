"""Records of the authority and counts of the quotas.

SQLite files that were written before versions have some of these tables already: they stay.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Make the tables."""
    present = set(sa.inspect(op.get_bind()).get_table_names())
    for table in _tables().sorted_tables:
        if table.name not in present or op.get_bind().dialect.name != "sqlite":
            table.create(op.get_bind())
    if "codes" in present:
        columns = {each["name"] for each in sa.inspect(op.get_bind()).get_columns("codes")}
        if "certificate" not in columns:
            op.add_column("codes", sa.Column("certificate", sa.LargeBinary))


def _tables() -> sa.MetaData:
    tables = sa.MetaData()
    sa.Table(
        "settings",
        tables,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    sa.Table(
        "devices",
        tables,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    sa.Table(
        "certificates",
        tables,
        sa.Column("serial", sa.Text, primary_key=True),
        sa.Column("device", sa.Text, sa.ForeignKey("devices.name"), nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("revoked", sa.BigInteger),
        sa.Index("certificates_of", "device"),
    )
    sa.Table(
        "codes",
        tables,
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("device", sa.Text, sa.ForeignKey("devices.name"), nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger),
        sa.Column("certificate", sa.LargeBinary),
    )
    sa.Table(
        "publishers",
        tables,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    sa.Table(
        "questions",
        tables,
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Index("questions_of", "identity", "at"),
    )
    sa.Table(
        "tokens",
        tables,
        sa.Column("identity", sa.Text, primary_key=True),
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("spent", sa.BigInteger, nullable=False),
    )
    # Questions that run, of identities whose number of them is limited, by service.
    sa.Table(
        "running",
        tables,
        sa.Column("identity", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    # Until when a service's running questions count, unless it says so again.
    sa.Table(
        "services",
        tables,
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("until", sa.Double, nullable=False),
    )
    return tables
