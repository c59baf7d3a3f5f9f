"""What a device stores before a fault: an identity, a history, an older pair; and whether it is sound."""

import json
import secrets
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_contract.manifest import MANIFEST_NAME, Manifest, load_manifest
from duet_device.home import HISTORY_NAME
from duet_tools.faults.homes import Home
from duet_tools.faults.trials import Setting, Unheld
from duet_tools.subjects.authority import invite

HISTORY_WRITER = "duet_tools.faults.history_writer"
_OLD = "0.0.1"


def older(setting: Setting) -> Path:
    """Return a copy of the pair's decoder, without signature, as an older version."""
    old = setting.scratch / "older" / setting.manifest.id
    for file in setting.manifest.decoder.files:
        (old / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(setting.pair / file.path, old / file.path)
    data = json.loads((setting.pair / MANIFEST_NAME).read_text("utf-8"))
    (old / MANIFEST_NAME).write_text(json.dumps(data | {"version": _OLD}), "utf-8")
    return old


def invite_device() -> str:
    """Return a code for a device of a name that no other has."""
    return invite(f"device-{secrets.token_hex(4)}")


def check_history(home: Home, stored: list[str]) -> None:
    """Check that a history is sound, and holds every answer that was stored.

    Raises:
        Unheld: it is not, or an answer is lost.
    """
    said = home.run("logs", "--count", "0", "--json").check(0)
    there = {json.loads(line)["id"] for line in said.out.splitlines()}
    if not there.issuperset(stored):
        raise Unheld("stored answers are lost")
    with closing(sqlite3.connect(home.data / HISTORY_NAME)) as database:
        if database.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            raise Unheld("the history's database is damaged")


def check_pair(home: Home, name: str) -> Manifest:
    """Check that a pair is installed whole; return its manifest.

    Raises:
        Unheld: it is damaged.
    """
    directory = home.pairs / name
    try:
        manifest = load_manifest(directory)
        verify_files(directory, manifest.decoder.files)
    except ContractError as error:
        raise Unheld("the installed pair is damaged") from error
    return manifest
