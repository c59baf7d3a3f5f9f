"""Stored answers, as they are in the file: listed, read and damaged."""

import sqlite3
from pathlib import Path

from duet_device.history.store import History

DAMAGE = {
    "altered": "UPDATE answers SET sealed = sealed || x'00' WHERE id = ?",
    "of another record": "UPDATE answers SET sealed = (SELECT sealed FROM answers ORDER BY "
    "position LIMIT 1) WHERE id = ?",
    "cut": "UPDATE answers SET sealed = substr(sealed, 1, 20) WHERE id = ?",
    "foreign": "UPDATE answers SET sealed = 'text' WHERE id = ?",
    "of another key": "UPDATE answers SET sealed = x'4456010102030405060708' || "
    "randomblob(60) WHERE id = ?",
}


def ids(home: Path) -> list[str]:
    return list(reversed(History.of(home).ids()))


def alter(home: Path, id_: str, statement: str) -> None:
    with sqlite3.connect(home / "history.db") as database:
        database.execute(statement, (id_,))
    database.close()


def encrypted(home: Path, id_: str) -> bytes:
    with sqlite3.connect(home / "history.db") as database:
        row = database.execute("SELECT sealed FROM answers WHERE id = ?", (id_,)).fetchone()
    database.close()
    return bytes(row[0])
