"""The authority's records: devices, certificates, enrollment codes, publishers.

Looked up at every call, so that a revocation counts from the next one on, and twice a second for
calls that run. Several processes may share them. Times are seconds since 1970 (UTC).
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Text, bindparam, text
from sqlalchemy.exc import IntegrityError

from duet_cloud.errors import CredentialsError
from duet_cloud.identity.database import Database

_Row = Row[*tuple[Any, ...]]
_ISSUED = (
    "SELECT serial, device, roles, not_before, not_after, revoked "
    "FROM certificates JOIN devices ON device = name "
)
_SEVERAL = text(f"{_ISSUED} WHERE serial IN :serials").bindparams(
    bindparam("serials", type_=Text, expanding=True)
)


@dataclass(frozen=True)
class Issued:
    """A certificate that was issued. Times are in seconds since 1970."""

    serial: str
    """Serial number of the certificate."""
    device: str
    """Name of the device."""
    roles: frozenset[str]
    """Roles of the device."""
    not_before: int
    """Start of validity."""
    not_after: int
    """End of validity."""
    revoked: int | None
    """Time of revocation; None: not revoked."""


@dataclass(frozen=True)
class DeviceEntry:
    """A device as it is listed."""

    name: str
    """Name of the device."""
    roles: tuple[str, ...]
    """Roles of the device."""
    state: str
    """`enrolled`, `revoked`, `ended`, `invited` or `invitation over`."""
    serial: str
    """Serial number of its newest certificate; empty: it has no certificate."""
    not_after: int | None
    """End of that certificate's validity, in seconds since 1970; None: it has no certificate."""


class Registry:
    """An open registry. Its methods block; they may be called from any thread.

    Args:
        database: where the records are; `Database.migrate` was called.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def setting(self, name: str) -> str:
        """Return a setting that `init` wrote.

        Raises:
            CredentialsError: it is not set.
        """
        found = self.setting_or_none(name)
        if found is None:
            raise CredentialsError(
                f"{self.database.name} has no {name!r} of an authority: duet-cloud admin init"
            )
        return found

    def setting_or_none(self, name: str) -> str | None:
        """Return a setting; None if it is not set."""
        row = self.database.one("SELECT value FROM settings WHERE name = :name", name=name)
        return None if row is None else str(row[0])

    def set(self, name: str, value: str) -> None:
        """Write a setting."""
        self.database.change(
            "INSERT INTO settings (name, value) VALUES (:name, :value) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name=name,
            value=value,
        )

    def clear_settings(self) -> None:
        """Delete every setting: no authority's any more."""
        self.database.change("DELETE FROM settings")

    def invite(
        self, name: str, roles: Iterable[str], secret: bytes, now: int, expires: int
    ) -> None:
        """Store a code's hash for a device, new or known; its earlier codes are void."""
        with self.database.transaction():
            self.database.change(
                "INSERT INTO devices (name, roles, since) VALUES (:name, :roles, :now) "
                "ON CONFLICT (name) DO UPDATE SET roles = excluded.roles",
                name=name,
                roles=",".join(sorted(roles)),
                now=now,
            )
            self.database.change(
                "DELETE FROM codes WHERE device = :name AND spent IS NULL", name=name
            )
            self.database.change(
                "INSERT INTO codes (hash, device, expires) VALUES (:hash, :name, :expires)",
                hash=_hash(secret),
                name=name,
                expires=expires,
            )

    def spend(self, secret: bytes, now: int) -> str | None:
        """Spend a code exactly once among all callers; return its device's name, None if invalid.

        What was issued to the name before is revoked: a name belongs to one device. Call inside
        `Database.transaction`, with what the code is spent for.
        """
        found = self.database.one("SELECT device FROM codes WHERE hash = :hash", hash=_hash(secret))
        if found is None:
            return None
        # Before the code, as in `invite` and `revoke`: another order would be a deadlock.
        self.lock(str(found[0]))
        row = self.database.one(
            "UPDATE codes SET spent = :now WHERE hash = :hash AND spent IS NULL AND expires > :now "
            "RETURNING device",
            now=now,
            hash=_hash(secret),
        )
        if row is None:
            return None
        self._revoke(str(row[0]), now)
        return str(row[0])

    def answer(self, secret: bytes, certificate: bytes) -> None:
        """Store the certificate (DER) that a code was spent for."""
        self.database.change(
            "UPDATE codes SET certificate = :certificate WHERE hash = :hash",
            certificate=certificate,
            hash=_hash(secret),
        )

    def answered(self, secret: bytes, since: int) -> tuple[str, bytes] | None:
        """Return device and certificate (DER) that a code was spent for after `since`."""
        row = self.database.one(
            "SELECT device, certificate FROM codes "
            "WHERE hash = :hash AND spent > :since AND certificate IS NOT NULL",
            hash=_hash(secret),
            since=since,
        )
        return (str(row[0]), bytes(row[1])) if row else None

    def add_certificate(self, serial: str, device: str, not_before: int, not_after: int) -> None:
        """Store a certificate before it is sent."""
        self.database.change(
            "INSERT INTO certificates (serial, device, not_before, not_after) "
            "VALUES (:serial, :device, :not_before, :not_after)",
            serial=serial,
            device=device,
            not_before=not_before,
            not_after=not_after,
        )

    def certificate(self, serial: str) -> Issued | None:
        """Return the record of a certificate."""
        row = self.database.one(f"{_ISSUED} WHERE serial = :serial", serial=serial)
        return _issued(row) if row else None

    def certificates(self, serials: Collection[str]) -> dict[str, Issued]:
        """Return the records of certificates, by serial; unknown ones are missing."""
        with self.database.connection() as connection:
            rows = connection.execute(_SEVERAL, {"serials": list(serials)}).fetchall()
        return {issued.serial: issued for issued in map(_issued, rows)}

    def revoke(self, name: str, now: int) -> int:
        """Revokes every certificate of a device and voids its codes; how many there were.

        Raises:
            CredentialsError: there is no device of that name.
        """
        with self.database.transaction():
            if not self.lock(name):
                raise CredentialsError(f"there is no device {name!r}: duet-cloud admin devices")
            codes = self.database.change(
                "DELETE FROM codes WHERE device = :name AND spent IS NULL", name=name
            )
            return codes + self._revoke(name, now)

    def devices(self, now: int) -> list[DeviceEntry]:
        """Return every device, by name."""
        rows = self.database.all(
            "SELECT name, roles, serial, not_after, revoked, "
            "  EXISTS (SELECT 1 FROM codes WHERE codes.device = name AND spent IS NULL "
            "          AND expires > :now) "
            "FROM devices LEFT JOIN certificates ON serial = ("
            "  SELECT serial FROM certificates WHERE device = name "
            "  ORDER BY revoked IS NOT NULL, not_after DESC, not_before DESC, serial LIMIT 1) "
            "ORDER BY name",
            now=now,
        )
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
        with self.database.connection():
            try:
                self.database.change(
                    "INSERT INTO publishers (name, key, since) VALUES (:name, :key, :now)",
                    name=name,
                    key=key,
                    now=now,
                )
            except IntegrityError as error:
                raise CredentialsError(f"publisher {name!r}, or its key, exists already") from error

    def remove_publisher(self, name: str) -> None:
        """Delete a publisher's key.

        Raises:
            CredentialsError: there is no publisher of that name.
        """
        if not self.database.change("DELETE FROM publishers WHERE name = :name", name=name):
            raise CredentialsError(f"there is no publisher {name!r}")

    def publishers(self) -> dict[str, bytes]:
        """Publishers' public keys by name."""
        rows = self.database.all("SELECT name, key FROM publishers ORDER BY name")
        return {str(name): bytes(key) for name, key in rows}

    def lock(self, name: str) -> bool:
        """Lock a device until the transaction ends; return whether there is a device of that name.

        Whoever issues or revokes its certificates locks it first, and reads the certificates after
        that: otherwise PostgreSQL would let a renewal read, a revocation commit, and the renewal
        add a certificate that is not revoked. Call inside `Database.transaction`.
        """
        return bool(
            self.database.change("UPDATE devices SET since = since WHERE name = :name", name=name)
        )

    def _revoke(self, name: str, now: int) -> int:
        return self.database.change(
            "UPDATE certificates SET revoked = :now "
            "WHERE device = :name AND revoked IS NULL AND not_after > :now",
            now=now,
            name=name,
        )


def _issued(row: _Row) -> Issued:
    return Issued(row[0], row[1], frozenset(row[2].split(",")), *row[3:])


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
