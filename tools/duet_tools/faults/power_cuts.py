"""Power cuts: SIGKILL while a device downloads a pair, enrolls, or stores answers.

What a process has written stays in the system's memory when it is killed: whether all of it would
reach the disk before a real power cut is not tried.
"""

import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_contract.manifest import MANIFEST_NAME, load_manifest
from duet_device.errors import DeviceError
from duet_device.home import HISTORY_NAME
from duet_device.identity.credentials import load_identity
from duet_tools.faults.homes import PASSPHRASE, Home, Said
from duet_tools.faults.services import Script, Service, variables
from duet_tools.faults.trials import Row, Setting, Trials, Unheld

_KILLED_AT = "duet_tools.faults.killed_at"
_WRITER = "duet_tools.faults.history_writer"
_OLD = "0.0.1"


@dataclass(frozen=True)
class _Operation:
    """A command that changes a home, and what has to be true of the home at every moment."""

    home: Home
    """The home before the command."""
    arguments: Callable[[], tuple[str, ...]]
    """Returns the command of a trial."""
    folder: Path
    """The part of the home that the command changes."""
    check: Callable[[Home], None]
    """Raises `Unheld` if the home is damaged."""
    finished: Callable[[Home], None]
    """Raises `Unheld` if the command, repeated, left the home unfinished."""

    def cut(self, setting: Setting, trials: Trials, times: int) -> None:
        """Kill the command at each of its changes, and at random moments; then repeat it."""
        began = time.monotonic()
        whole = self._killed(self.home.copy("whole"), 0, self.arguments()).check(0)
        seconds = time.monotonic() - began
        changes = int(whole.err.strip().splitlines()[-1])
        for number in setting.chosen(list(range(1, changes + 1)), times):
            with trials.trial():
                home, arguments = self.home.copy("cut"), self.arguments()
                if self._killed(home, number, arguments).code == 0:
                    raise Unheld("the command ended before it was killed")
                self._repeat(home, arguments)
        for _ in range(times):
            with trials.trial():
                home, arguments = self.home.copy("cut"), self.arguments()
                command = home.start(*arguments)
                time.sleep(setting.draws.uniform(0.0, seconds))
                command.kill()
                self._repeat(home, arguments)

    def _killed(self, home: Home, number: int, arguments: tuple[str, ...]) -> Said:
        folder = home.directory / self.folder.relative_to(self.home.directory)
        module = (_KILLED_AT, str(number), str(folder), "duet_device")
        return home.run(*arguments, module=module)

    def _repeat(self, home: Home, arguments: tuple[str, ...]) -> None:
        self.check(home)
        home.run(*arguments).check(0)
        self.check(home)
        self.finished(home)


def _pull(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "pull")
    old = older(setting)
    home.run("pull", str(old), "--allow-unsigned", "--quiet").check(0)
    name = setting.manifest.id

    def check(home: Home) -> None:
        directory = home.pairs / name
        try:
            manifest = load_manifest(directory)
            verify_files(directory, manifest.decoder.files)
        except ContractError as error:
            raise Unheld("the installed pair is damaged") from error

    def finished(home: Home) -> None:
        if load_manifest(home.pairs / name).version != setting.manifest.version:
            raise Unheld("the new pair is not installed")
        left = [path.name for path in (home.pairs / ".pulling").iterdir()]
        if any(not name.endswith(".lock") for name in left):
            raise Unheld("parts of a download are left")

    with Service(setting, script=Script()) as service:
        arguments = ("pull", name, "--server", service.address, "--allow-unsigned", "--quiet")
        operation = _Operation(home, lambda: arguments, home.pairs, check, finished)
        operation.cut(setting, trials, setting.count(10, 2))


def older(setting: Setting) -> Path:
    """Return a copy of the pair's decoder, without signature, as an older version."""
    old = setting.scratch / "older" / setting.manifest.id
    for file in setting.manifest.decoder.files:
        (old / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(setting.pair / file.path, old / file.path)
    data = json.loads((setting.pair / MANIFEST_NAME).read_text("utf-8"))
    (old / MANIFEST_NAME).write_text(json.dumps(data | {"version": _OLD}), "utf-8")
    return old


@contextmanager
def authority(setting: Setting) -> Iterator[Path]:
    """An authority, for this process's `duet-cloud admin` and for a service's `--tls-dir`."""
    directory = setting.scratch / "authority"
    with variables(DUET_AUTHORITY=str(directory), DUET_AUTHORITY_PASSPHRASE=PASSPHRASE):
        _admin("init")
        yield directory


def invite() -> str:
    """Return a code for a device that has none yet."""
    return _admin("invite", f"device-{secrets.token_hex(4)}").strip()


def _admin(*arguments: str) -> str:
    command = [sys.executable, "-m", "duet_cloud", "admin", *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def _enrollment(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "enroll")
    options = ("--enrollment-port", "0")
    with (
        authority(setting) as directory,
        Service(setting, "--tls-dir", str(directory), *options, script=Script()) as service,
    ):
        port = service.events("loading")[0]["enrollment_port"]
        address = f"127.0.0.1:{port}"
        home.run("enroll", address, invite()).check(0)

        def check(home: Home) -> None:
            with variables(**home.environment):
                try:
                    identity = load_identity(service.address)
                    if identity is None:
                        raise Unheld("the earlier identity is gone")
                    identity.credentials()
                except DeviceError as error:
                    raise Unheld("the stored identity is damaged") from error

        def finished(home: Home) -> None:
            if any((home.data / "enrollments").iterdir()):
                raise Unheld("parts of an enrollment are left")

        def arguments() -> tuple[str, ...]:
            # A code is spent once.
            return ("enroll", address, invite())

        operation = _Operation(home, arguments, home.data, check, finished)
        operation.cut(setting, trials, setting.count(8, 2))


def _history(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "history")
    home.run("logs", "on").check(0)
    stored: list[str] = []
    for _ in range(setting.count(30, 3)):
        with trials.trial():
            command = home.start("0", module=(_WRITER,))
            assert command.process.stdout
            stored.append(command.process.stdout.readline().strip())
            time.sleep(setting.draws.uniform(0.0, 0.2))
            stored += command.kill().out.split()
            check_history(home, stored)
    trials.figures["answers stored"] = len(stored)


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


def _first_use(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "first")
    home.data.mkdir(parents=True)

    def finished(home: Home) -> None:
        check_history(home, home.run("3", module=(_WRITER,)).check(0).out.split())

    operation = _Operation(home, lambda: ("logs", "on"), home.data, lambda _: None, finished)
    operation.cut(setting, trials, setting.count(8, 1))


_SOUND = "the files are sound, what was stored is there, and the same command completes the work"
ROWS = (
    Row(
        "power cut in a pull",
        "SIGKILL at each change of a file, and at random moments",
        _SOUND,
        _pull,
    ),
    Row("power cut in an enrollment", "the same", _SOUND, _enrollment),
    Row("power cut in the first use of the history", "the same", _SOUND, _first_use, "none"),
    Row(
        "power cut in history writes",
        "SIGKILL at random moments of a process that stores answers",
        "the database is sound, every stored answer can be read",
        _history,
        "none",
    ),
)
