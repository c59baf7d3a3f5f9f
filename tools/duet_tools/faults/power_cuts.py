"""Power cuts: SIGKILL while a device downloads a pair, enrolls, or stores answers.

What a process has written stays in the system's memory when it is killed: whether all of it would
reach the disk before a real power cut is not tried.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from duet_device.errors import DeviceError, ExitCode
from duet_device.identity.credentials import load_identity
from duet_tools.faults.homes import Home, Said
from duet_tools.faults.services import Service
from duet_tools.faults.stored import (
    HISTORY_WRITER,
    check_history,
    check_pair,
    enrolled,
    invite_device,
    older,
)
from duet_tools.faults.trials import Setting, Trials, Unheld, row
from duet_tools.subjects.authority import variables
from duet_tools.subjects.service import Script

_KILLED_AT = "duet_tools.faults.killed_at"
_SOUND = "the files are sound, what was stored is there, and the same command completes the work"


@dataclass(frozen=True)
class _Operation:
    """A command that changes a home, and what has to be true of the home at every moment."""

    home: Home
    """The home before the command."""
    arguments: Callable[[], tuple[str, ...]]
    """Returns the command of a trial."""
    folder: Path
    """The part of the home that the command changes."""
    check: Callable[[Home], object]
    """Raises `Unheld` if the home is damaged."""
    finished: Callable[[Home], None]
    """Raises `Unheld` if the command, repeated, left the home unfinished."""
    codes: tuple[int, ...] = (0,)
    """Exit codes of the repeated command."""

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
        home.run(*arguments).check(*self.codes)
        self.check(home)
        self.finished(home)


@row("power cut in a pull", "SIGKILL at each change of a file, and at random moments", _SOUND)
def _pull(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "pull")
    old = older(setting)
    home.run("pull", str(old), "--allow-unsigned", "--quiet").check(0)
    name = setting.workload.manifest.id

    def check(home: Home) -> None:
        check_pair(home, name)

    def finished(home: Home) -> None:
        if check_pair(home, name).version != setting.workload.manifest.version:
            raise Unheld("the new pair is not installed")
        left = [path.name for path in (home.pairs / ".pulling").iterdir()]
        if any(not name.endswith(".lock") for name in left):
            raise Unheld("parts of a download are left")

    with Service(setting, script=Script()) as service:
        arguments = ("pull", name, "--server", service.address, "--allow-unsigned", "--quiet")
        operation = _Operation(home, lambda: arguments, home.pairs, check, finished)
        operation.cut(setting, trials, setting.count(10, 2))


@row("power cut in an enrollment", "the same", _SOUND)
def _enrollment(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "enroll")
    with enrolled(setting, home) as (service, address):

        def certificate(home: Home) -> str:
            with variables(**home.environment):
                try:
                    identity = load_identity(service.address)
                    if identity is None:
                        raise Unheld("the earlier identity is gone")
                    identity.credentials()
                except DeviceError as error:
                    raise Unheld("the stored identity is damaged") from error
            return identity.certificate

        earlier = certificate(home)

        def finished(home: Home) -> None:
            if certificate(home) == earlier:
                raise Unheld("the new identity is not stored")
            if any((home.data / "enrollments").iterdir()):
                raise Unheld("parts of an enrollment are left")

        def arguments() -> tuple[str, ...]:
            # A code is spent once.
            return ("enroll", address, invite_device())

        # A command that was killed after its work has spent its code: repeated, it is refused.
        codes = (int(ExitCode.OK), int(ExitCode.IDENTITY))
        operation = _Operation(home, arguments, home.data, certificate, finished, codes)
        operation.cut(setting, trials, setting.count(8, 2))


@row(
    "power cut in history writes",
    "SIGKILL at random moments of a process that stores answers",
    "the database is sound, every stored answer can be read",
    "none",
)
def _history(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "history")
    home.run("logs", "on").check(0)
    stored: list[str] = []
    for _ in range(setting.count(30, 3)):
        with trials.trial():
            command = home.start("0", module=(HISTORY_WRITER,))
            assert command.process.stdout
            stored.append(command.process.stdout.readline().strip())
            time.sleep(setting.draws.uniform(0.0, 0.2))
            stored += command.kill().out.split()
            check_history(home, stored)
    trials.figures["answers stored"] = len(stored)


@row("power cut in the first use of the history", "the same", _SOUND, "none")
def _first_use(setting: Setting, trials: Trials) -> None:
    home = Home(setting.scratch / "first")
    home.data.mkdir(parents=True)

    def finished(home: Home) -> None:
        check_history(home, home.run("3", module=(HISTORY_WRITER,)).check(0).out.split())

    operation = _Operation(home, lambda: ("logs", "on"), home.data, lambda _: None, finished)
    operation.cut(setting, trials, setting.count(8, 1))


ROWS = (_pull, _enrollment, _first_use, _history)
