"""The authority's records in SQLite: devices, certificates, enrollment codes, publishers.

Looked up at every call, so that a revocation counts from the next one on; `changes` reports when to
check running calls again. Several processes may share the file. Times are seconds since 1970 (UTC).
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from duet_cloud.errors import CredentialsError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS devices (
  name TEXT PRIMARY KEY, roles TEXT NOT NULL, since INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS certificates (
  serial TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices (name),
  not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, revoked INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS certificates_of ON certificates (device);
CREATE TABLE IF NOT EXISTS codes (
  hash BLOB PRIMARY KEY, device TEXT NOT NULL REFERENCES devices (name),
  expires INTEGER NOT NULL, spent INTEGER, certificate BLOB
) STRICT;
CREATE TABLE IF NOT EXISTS publishers (
  name TEXT PRIMARY KEY, key BLOB NOT NULL UNIQUE, since INTEGER NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class Issued:
    """A certificate that was issued. `revoked`: when, or None."""

    serial: str
    device: str
    roles: frozenset[str]
    not_before: int
    not_after: int
    revoked: int | None


@dataclass(frozen=True)
class DeviceEntry:
    """A device as it is listed. `state`: enrolled, invited, ended, revoked."""

    name: str
    roles: tuple[str, ...]
    state: str
    serial: str
    not_after: int | None


class Registry:
    """An open registry. Use from one thread."""

    def __init__(self, path: Path, create: bool = False) -> None:
        """Open the registry; make a new one only if `create`.

        Raises:
            CredentialsError: it is not there, or no registry.
        """
        if not create and not path.is_file():
            raise CredentialsError(f"there is no registry {path}: duet-cloud admin init")
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(_SCHEMA)
            self._add_column("codes", "certificate", "BLOB")
        except sqlite3.Error as error:
            raise CredentialsError(f"{path} cannot be used as a registry: {error}") from error
        self._version = self._data_version()
        if not create:
            self.setting("domain")  # an empty file would pass for a registry

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def changes(self) -> bool:
        """Return whether another connection has changed the registry since the last call."""
        version = self._data_version()
        changed, self._version = version != self._version, version
        return changed

    def setting(self, name: str) -> str:
        """Return a setting that `init` wrote."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise CredentialsError(f"the registry has no {name!r}: duet-cloud admin init")
        return str(row[0])

    def set(self, name: str, value: str) -> None:
        """Write a setting."""
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing; other processes see it all at once.

        Inside another transaction, it is part of that one.
        """
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def invite(
        self, name: str, roles: Iterable[str], secret: bytes, now: int, expires: int
    ) -> None:
        """Store a code's hash for a device, new or known; its earlier codes are void."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO devices VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET roles = excluded.roles",
                (name, ",".join(sorted(roles)), now),
            )
            self._db.execute("DELETE FROM codes WHERE device = ? AND spent IS NULL", (name,))
            self._db.execute(
                "INSERT INTO codes (hash, device, expires) VALUES (?, ?, ?)",
                (_hash(secret), name, expires),
            )

    def spend(self, secret: bytes, now: int) -> str | None:
        """Spend a code exactly once among all callers; return its device's name, None if invalid.

        What was issued to the name before is revoked: a name belongs to one device. Call inside
        `transaction`, with what the code is spent for.
        """
        row = self._db.execute(
            "UPDATE codes SET spent = ? WHERE hash = ? AND spent IS NULL AND expires > ? "
            "RETURNING device",
            (now, _hash(secret), now),
        ).fetchone()
        if row is None:
            return None
        self._revoke(str(row[0]), now)
        return str(row[0])

    def answer(self, secret: bytes, certificate: bytes) -> None:
        """Store the certificate (DER) that a code was spent for."""
        self._db.execute(
            "UPDATE codes SET certificate = ? WHERE hash = ?", (certificate, _hash(secret))
        )

    def answered(self, secret: bytes, since: int) -> tuple[str, bytes] | None:
        """Return device and certificate (DER) that a code was spent for after `since`."""
        row = self._db.execute(
            "SELECT device, certificate FROM codes "
            "WHERE hash = ? AND spent > ? AND certificate IS NOT NULL",
            (_hash(secret), since),
        ).fetchone()
        return (str(row[0]), bytes(row[1])) if row else None

    def add_certificate(self, serial: str, device: str, not_before: int, not_after: int) -> None:
        """Store a certificate before it is sent."""
        self._db.execute(
            "INSERT INTO certificates VALUES (?, ?, ?, ?, NULL)",
            (serial, device, not_before, not_after),
        )

    def certificate(self, serial: str) -> Issued | None:
        """Return the record of a certificate."""
        row = self._db.execute(
            "SELECT serial, device, roles, not_before, not_after, revoked "
            "FROM certificates JOIN devices ON device = name WHERE serial = ?",
            (serial,),
        ).fetchone()
        if row is None:
            return None
        return Issued(row[0], row[1], frozenset(row[2].split(",")), *row[3:])

    def revoke(self, name: str, now: int) -> int:
        """Revokes every certificate of a device and voids its codes; how many there were.

        Raises:
            CredentialsError: there is no device of that name.
        """
        with self.transaction():
            if not self._db.execute("SELECT 1 FROM devices WHERE name = ?", (name,)).fetchone():
                raise CredentialsError(f"there is no device {name!r}: duet-cloud admin devices")
            codes = self._db.execute(
                "DELETE FROM codes WHERE device = ? AND spent IS NULL", (name,)
            ).rowcount
            return codes + self._revoke(name, now)

    def devices(self, now: int) -> list[DeviceEntry]:
        """Return every device, by name."""
        rows = self._db.execute(
            "SELECT name, roles, serial, not_after, revoked, "
            "  EXISTS (SELECT 1 FROM codes WHERE codes.device = name AND spent IS NULL "
            "          AND expires > ?) "
            "FROM devices LEFT JOIN certificates ON serial = ("
            "  SELECT serial FROM certificates WHERE device = name "
            "  ORDER BY revoked IS NOT NULL, not_after DESC, rowid DESC LIMIT 1) "
            "ORDER BY name",
            (now,),
        ).fetchall()
        return [
            DeviceEntry(
                name=name,
                roles=tuple(roles.split(",")),
                state=_state(not_after, revoked, bool(invited), now),
                serial=serial or "",
                not_after=not_after,
            )
            for name, roles, serial, not_after, revoked, invited in rows
        ]

    def add_publisher(self, name: str, key: bytes, now: int) -> None:
        """Store a publisher's public key.

        Raises:
            CredentialsError: the name or the key exists already.
        """
        try:
            self._db.execute("INSERT INTO publishers VALUES (?, ?, ?)", (name, key, now))
        except sqlite3.IntegrityError as error:
            raise CredentialsError(f"publisher {name!r}, or its key, exists already") from error

    def remove_publisher(self, name: str) -> None:
        """Delete a publisher's key.

        Raises:
            CredentialsError: there is no publisher of that name.
        """
        if not self._db.execute("DELETE FROM publishers WHERE name = ?", (name,)).rowcount:
            raise CredentialsError(f"there is no publisher {name!r}")

    def publishers(self) -> dict[str, bytes]:
        """Publishers' public keys by name."""
        rows = self._db.execute("SELECT name, key FROM publishers ORDER BY name").fetchall()
        return {str(name): bytes(key) for name, key in rows}

    def known(self, name: str) -> bool:
        """Return whether there is a device of that name."""
        row = self._db.execute("SELECT 1 FROM devices WHERE name = ?", (name,)).fetchone()
        return row is not None

    def _revoke(self, name: str, now: int) -> int:
        return self._db.execute(
            "UPDATE certificates SET revoked = ? "
            "WHERE device = ? AND revoked IS NULL AND not_after > ?",
            (now, name, now),
        ).rowcount

    def _add_column(self, table: str, column: str, kind: str) -> None:
        """Add what registries of an earlier schema lack."""
        query = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
        if self._db.execute(query, (table, column)).fetchone():
            return
        with self.transaction():
            if not self._db.execute(query, (table, column)).fetchone():
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    def _data_version(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])


def _hash(secret: bytes) -> bytes:
    # 128 random bits need no slow hash.
    return hashlib.sha256(secret).digest()


def _state(not_after: int | None, revoked: int | None, invited: bool, now: int) -> str:
    if not_after is not None and revoked is None and not_after > now:
        return "enrolled"
    if invited:
        return "invited"
    if revoked is not None:
        return "revoked"
    return "ended" if not_after is not None else "invitation over"
