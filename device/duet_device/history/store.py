"""Answers stored on the device: SQLite, each record encrypted by the vault.

Only a record's id and order are in plaintext. Private context is never stored, only the names of
its sources.
"""

import datetime as dt
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationError

from duet_contract.described import Described
from duet_contract.receipt import Receipt
from duet_device.errors import UsageProblem, VaultError
from duet_device.home import HISTORY_NAME, is_there
from duet_device.vault.vault import Vault

# SQLite's own fields for whose file it is, and of which version.
_APPLICATION, _VERSION = 0x44554554, 1
_WAIT_S = 5.0
# Columns keep their names of version 1: every earlier release reads and writes the same file.
_SCHEMA = """
CREATE TABLE settings (keeping INTEGER NOT NULL);
INSERT INTO settings VALUES (1);
CREATE TABLE answers (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, sealed BLOB);
"""


class _Model(Described):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoredSignal(_Model):
    """A signal that was received before."""

    ids: tuple[Annotated[int, Field(ge=0)], ...]
    """The decoder's tokens."""
    text: str
    """Text for people to read."""
    tokens: int
    """Tokens as the cloud counted them."""
    cut: bool
    """Whether the budget cut the signal short."""
    enough: bool = False
    """Whether the device ended it, since it knew enough."""


class SignalKey(_Model):
    """Values that must be equal for a stored signal to be used again."""

    sent: str
    """The question as it left the device."""
    pair: str
    """The pair as `id@version`."""
    vocabulary: str
    """SHA-256 of the decoder's vocabulary."""
    budget: int | None
    """Maximum number of signal tokens; None is the pair's default."""
    temperature: float | None
    """Sampling temperature; None is the pair's default."""
    seed: int | None
    """Sampling seed; None is not reproducible."""


class Record(_Model):
    """The stored record of a question."""

    at: dt.datetime
    """When it was answered, UTC."""
    question: str
    """The question as typed; `key.sent` is what left the device."""
    key: SignalKey
    """When the signal may be used again."""
    context: tuple[str, ...]
    """Names of the private documents and notes."""
    signal: StoredSignal | None
    """The signal; None if the device answered alone, or from the start of a signal."""
    receipt: Receipt
    """Answer and cost."""
    conversation: str | None = None
    """Id of the chat; None of an answer of `ask`."""


class History:
    """The answers of one device.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Return the history in a device's home."""
        return cls(directory / HISTORY_NAME)

    @property
    def enabled(self) -> bool:
        """Whether answers are stored; without a database, they are not."""
        if not is_there(self.path):
            return False
        with self._connected() as database:
            row = database.execute("SELECT keeping FROM settings").fetchone()
        if row is None:
            raise VaultError(f"the history {self.path} is damaged: it has no settings")
        return bool(row[0])

    @property
    def hint(self) -> str:
        """How to have answers stored, to follow an error about one that is not; "" if they are."""
        return "" if self.enabled else "; duet-device logs on stores them from now on"

    def enable(self, wanted: bool) -> None:
        """Switch storing on or off; answers that are there stay."""
        if not is_there(self.path):
            if not wanted:
                return
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
            except OSError as error:
                raise VaultError(f"cannot make {self.path}: {error.strerror}") from error
        if wanted:
            with self._connected(create=True) as database:
                database.execute("UPDATE settings SET keeping = 1")
        else:
            self._change(lambda database: database.execute("UPDATE settings SET keeping = 0"))

    def add(self, vault: Vault, record: Record) -> str:
        """Encrypt and store a record; return its id."""
        id_ = secrets.token_hex(4)
        # Without defaults: an older version reads what it knows.
        data = record.model_dump_json(exclude_defaults=True)
        encrypted = vault.encrypt(data.encode("utf-8"), _purpose(id_))
        with self._connected() as database:
            database.execute("INSERT INTO answers (id, sealed) VALUES (?, ?)", (id_, encrypted))
        return id_

    def ids(self) -> list[str]:
        """Return the ids of all records, the newest first."""
        if not is_there(self.path):
            return []
        with self._connected() as database:
            rows = database.execute("SELECT id FROM answers ORDER BY position DESC")
            return [str(row[0]) for row in rows]

    def read(self, vault: Vault, id_: str) -> Record:
        """Return a record.

        Raises:
            VaultError: it was encrypted with another key, modified, or is of a newer version.
        """
        with self._connected() as database:
            # As bytes, whatever it was changed to.
            query = "SELECT CAST(sealed AS BLOB) FROM answers WHERE id = ?"
            row = database.execute(query, (id_,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise VaultError("it is gone, or damaged")
        try:
            return Record.model_validate_json(vault.decrypt(row[0], _purpose(id_)))
        except ValidationError as error:
            raise VaultError("it was written by another version of DUET") from error

    def records(
        self, report: Callable[[str, VaultError], object] = lambda _id, _error: None
    ) -> Iterator[tuple[str, Record]]:
        """Yield each record and its id, the newest first.

        Args:
            report: given the id of a record that cannot be read, and why; it is left out.

        Raises:
            VaultError: the vault cannot be opened.
        """
        ids = self.ids()
        if not ids:
            return
        vault = Vault.open(self.path.parent, create=False)
        for id_ in ids:
            try:
                record = self.read(vault, id_)
            except VaultError as error:
                report(id_, error)
                continue
            yield id_, record

    def conversation(self, wanted: str = "") -> list[Record]:
        """Return the records of a chat, the oldest first; records that cannot be read are left out.

        Args:
            wanted: id of the chat or of a record in it; empty for the last chat.
        """
        found: list[Record] = []
        chat = ""
        for id_, record in self.records():
            if record.conversation:
                found.append(record)
                if not chat and wanted in ("", id_, record.conversation):
                    chat = record.conversation
        return [record for record in reversed(found) if record.conversation == chat]

    def forget(self, ids: list[str]) -> int:
        """Remove records permanently; return how many there were. Needs no key."""
        if not is_there(self.path) or not ids:
            return 0
        count = len(set(self.ids()) & set(ids))

        def erase(database: sqlite3.Connection) -> None:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("DELETE FROM answers WHERE id = ?", [(id_,) for id_ in ids])
            database.execute("COMMIT")
            # Deleted rows would otherwise stay in free pages of the file.
            database.execute("VACUUM")

        self._change(erase)
        return count

    def _change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Change what is there, on a full disk, too.

        SQLite first writes a journal next to the database. Without space for it, the journal is in
        memory: failing to delete a record would be worse than risking the file.
        """
        try:
            with self._connected() as database:
                change(database)
        except VaultError as error:
            if not _no_room(error.__cause__):
                raise
            with self._connected() as database:
                database.execute("PRAGMA journal_mode = MEMORY")
                database.execute("PRAGMA temp_store = MEMORY")
                change(database)

    @contextmanager
    def _connected(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """The database; changes are committed at the end.

        Raises:
            VaultError: it cannot be opened, is damaged, or is not a history of this version.
        """
        try:
            with closing(
                sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
            ) as database:
                database.execute("PRAGMA secure_delete = ON")
                if create and not _mark(database, "user_version"):
                    database.executescript(
                        f"BEGIN IMMEDIATE; PRAGMA application_id = {_APPLICATION};"
                        f"PRAGMA user_version = {_VERSION}; {_SCHEMA} COMMIT;"
                    )
                if _mark(database, "application_id") != _APPLICATION:
                    raise VaultError(f"{self.path} is not a history of DUET: move it away")
                if _mark(database, "user_version") > _VERSION:
                    raise VaultError(f"{self.path} was written by a newer DUET: upgrade")
                yield database
        except sqlite3.Error as error:
            raise VaultError(f"the history {self.path} cannot be used: {error}") from error


def check_ids(wanted: list[str], there: list[str]) -> None:
    """Refuse ids that are not there.

    Raises:
        UsageProblem: names the first.
    """
    for id_ in wanted:
        if id_ not in there:
            raise UsageProblem(f"there is no answer {id_}: see duet-device logs")


def _no_room(error: BaseException | None) -> bool:
    """Return whether SQLite could not make or fill a file."""
    codes = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    # The extended codes say more in their upper bytes.
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF in codes


def _mark(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def _purpose(id_: str) -> str:
    return f"history {id_}"
