"""What a device stores before a fault: an identity, a history, an older pair; and whether it is sound."""

import json
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_contract.manifest import MANIFEST_NAME, Manifest, load_manifest
from duet_device.home import HISTORY_NAME
from duet_tools.faults.homes import Home
from duet_tools.faults.services import Service
from duet_tools.faults.trials import Setting, Unheld
from duet_tools.subjects.authority import authority, invite
from duet_tools.subjects.service import Script

HISTORY_WRITER = "duet_tools.faults.history_writer"
_OLD = "0.0.1"


def older(setting: Setting) -> Path:
    """Return a copy of the pair's decoder, without signature, as an older version."""
    old = setting.scratch / "older" / setting.workload.manifest.id
    for file in setting.workload.manifest.decoder.files:
        (old / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(setting.workload.directory / file.path, old / file.path)
    data = json.loads((setting.workload.directory / MANIFEST_NAME).read_text("utf-8"))
    (old / MANIFEST_NAME).write_text(json.dumps(data | {"version": _OLD}), "utf-8")
    return old


def invite_device() -> str:
    """Return a code for a device of a name that no other has."""
    return invite(f"device-{secrets.token_hex(4)}")


@contextmanager
def enrolled(setting: Setting, home: Home) -> Iterator[tuple[Service, str]]:
    """A service with mutual TLS that a home is enrolled at, and the address of its enrollment."""
    with (
        authority(setting.scratch / "authority") as directory,
        Service(
            *(setting, "--tls-dir", str(directory), "--enrollment-port", "0"), script=Script()
        ) as service,
    ):
        address = f"127.0.0.1:{service.events('loading')[0]['enrollment_port']}"
        home.run("enroll", address, invite_device()).check(0)
        yield service, address


def check_history(home: Home, stored: list[str]) -> None:
    """Check that a history is sound, and holds every answer that was stored.

    Raises:
        Unheld: it is not, or an answer is lost.
    """
    check_listed(home, stored)
    with closing(sqlite3.connect(home.data / HISTORY_NAME)) as database:
        if database.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            raise Unheld("the history's database is damaged")


def check_listed(home: Home, stored: list[str], forgotten: str = "") -> None:
    """Check that a history lists stored answers, and not the one that was forgotten.

    Raises:
        Unheld: it does not.
    """
    said = home.run("logs", "--count", "0", "--json").check(0)
    there = {json.loads(line)["id"] for line in said.out.splitlines()}
    if not there.issuperset(stored):
        raise Unheld("stored answers are lost")
    if forgotten in there:
        raise Unheld("a forgotten answer is still there")


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
