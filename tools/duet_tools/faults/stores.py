"""A full disk, a home that cannot be written to, a clock that jumps, several processes on one store."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from duet_device.errors import ExitCode
from duet_tools.faults.devices import QUESTION
from duet_tools.faults.disks import Disk
from duet_tools.faults.homes import Home, Said
from duet_tools.faults.services import Service
from duet_tools.faults.stored import (
    HISTORY_WRITER,
    check_history,
    check_listed,
    check_pair,
    enrolled,
    invite_device,
    older,
)
from duet_tools.faults.trials import Setting, Trials, Unheld, row

_CLOCK_JUMP = "duet_tools.faults.clock_jump"
_KIB = 1024
_HOUR, _DAY, _YEAR = 3600, 86_400, 365 * 86_400
_OK, _MODEL = int(ExitCode.OK), int(ExitCode.MODEL)
_UNREACHED = int(ExitCode.UNREACHABLE)
_VAULT, _IDENTITY = int(ExitCode.VAULT), int(ExitCode.IDENTITY)
_SOUND = "a defined message, and all that was stored is there and can be used"


@dataclass(frozen=True)
class _Stored:
    """A device that was used before, and its service."""

    home: Home
    """What the device stores."""
    service: Service
    """The service that it is enrolled with."""
    enrollment: str
    """HOST:PORT of the service's enrollment."""
    answers: list[str]
    """Entries of its history, which must stay readable."""
    setting: Setting
    """Settings of the run."""

    @property
    def ask(self) -> tuple[str, ...]:
        """A question to the cloud."""
        pair = ("--pair", str(self.setting.workload.directory), "--allow-unsigned")
        return ("ask", "--json", *pair, "--server", self.service.address, QUESTION)

    @property
    def pull(self) -> tuple[str, ...]:
        """A download of the newer version of a pair."""
        return ("pull", str(self.setting.workload.directory), "--allow-unsigned", "--quiet")

    def enroll(self) -> tuple[str, ...]:
        """Return an enrollment, with a code of its own."""
        return ("enroll", self.enrollment, invite_device())

    def check(self, home: Home) -> None:
        """Check that all of this is still in a home, and can be used.

        Raises:
            Unheld: it is not.
        """
        check_history(home, self.answers)
        said = home.run(*self.ask, "--require-cloud").check(_OK)
        if json.loads(said.out)["source"] != "duet":
            raise Unheld("the identity cannot be used")


def _with_stored(run: Callable[[_Stored, Trials], None]) -> Callable[[Setting, Trials], None]:
    """Return the trials with a device that has an identity, a history, and an older pair."""

    def run_with(setting: Setting, trials: Trials) -> None:
        home = Home(setting.scratch / "used")
        with enrolled(setting, home) as (service, enrollment):
            home.run("logs", "on").check(_OK)
            home.run("pull", str(older(setting)), "--allow-unsigned", "--quiet").check(_OK)
            answers = home.run("20", module=(HISTORY_WRITER,)).check(_OK).out.split()
            run(_Stored(home, service, enrollment, answers, setting), trials)

    return run_with


@row(
    "full disk",
    "0 to 2,048 KiB are free for a question, a pull, an enrollment, and deletions",
    f"{_SOUND}; with room, the same command completes",
)
@_with_stored
def _full_disk(stored: _Stored, trials: Trials) -> None:
    setting = stored.setting
    directory = setting.scratch / "disk"
    directory.mkdir()
    free = setting.chosen([0, 4, 16, 64, 160, 2048], 1)
    commands: list[tuple[Callable[[], tuple[str, ...]], tuple[int, ...]]] = [
        (lambda: stored.ask, (_OK,)),
        (lambda: stored.pull, (_OK, _MODEL)),
        (stored.enroll, (_OK, _VAULT, _IDENTITY)),
        (lambda: ("logs", "off"), (_OK,)),
        (lambda: ("forget", stored.answers[0]), (_OK,)),
    ]
    for kib in free:
        for command, codes in commands:
            with trials.trial(), Disk(directory) as disk:
                disk.fill(stored.home.directory, kib * _KIB)
                home, arguments = Home(directory, disk.wrapper), command()
                said = home.run(*arguments).check(*codes)
                disk.make_room()
                if said.code:
                    home.run(*arguments).check(_OK)
                _check_on_disk(stored, home, forgotten=arguments[0] == "forget")


def _check_on_disk(stored: _Stored, home: Home, *, forgotten: bool) -> None:
    lost = stored.answers[0] if forgotten else ""
    check_listed(home, stored.answers[forgotten:], lost)
    if json.loads(home.run(*stored.ask).check(_OK).out)["source"] != "duet":
        raise Unheld("the identity cannot be used")


@row(
    "read-only home",
    "questions, pulls, enrollments and changes of the history",
    f"questions are answered by the split; otherwise {_SOUND}",
)
@_with_stored
def _read_only(stored: _Stored, trials: Trials) -> None:
    directory = stored.setting.scratch / "disk"
    directory.mkdir()
    commands: list[tuple[tuple[str, ...], tuple[int, ...]]] = [
        (stored.ask, (_OK,)),
        (("logs",), (_OK,)),
        (("logs", "on"), (_OK, _VAULT)),
        (("logs", "off"), (_VAULT,)),
        (("forget", stored.answers[0]), (_VAULT,)),
        (stored.pull, (_MODEL,)),
        (stored.enroll(), (_IDENTITY, _VAULT)),
    ]
    with Disk(directory) as disk:
        disk.fill(stored.home.directory, 1 << 20)
        disk.make_read_only()
        home = Home(directory, disk.wrapper)
        for arguments, codes in commands:
            with trials.trial():
                said = home.run(*arguments).check(*codes)
                if arguments == stored.ask and json.loads(said.out)["source"] != "duet":
                    raise Unheld("the device answers alone")
        # The disk is read-only to the end: what is there now was there after each command.
        with trials.trial():
            _check_on_disk(stored, home, forgotten=False)


@row(
    "clock jump",
    "the device's clock is 1 hour to 10 years off",
    f"the split answers, or the device says that its certificate is not valid; {_SOUND}",
)
@_with_stored
def _clock(stored: _Stored, trials: Trials) -> None:
    offsets = [sign * jump for jump in (_HOUR, _DAY, _YEAR, 10 * _YEAR) for sign in (1, -1)]
    for offset in stored.setting.chosen(offsets, 2):
        with trials.trial():
            home = stored.home.copy("jumped")
            said = _jumped(home, 0.0, offset, *stored.ask).check(_OK, _IDENTITY, _UNREACHED)
            # An identity that is not valid at that time cannot be used, and the device says so.
            if json.loads(said.out).get("source") != "duet" and "certificate" not in said.both:
                raise Unheld("the split does not answer, and the device does not say why")
            stored.check(home)
        with trials.trial():
            home = stored.home.copy("jumped")
            _jumped(home, 0.0, offset, "3", module=HISTORY_WRITER).check(_OK)
            _jumped(home, 0.0, offset, "logs").check(_OK)
            stored.check(home)


def _jumped(
    home: Home, after_s: float, offset_s: float, *arguments: str, module: str = "duet_device"
) -> Said:
    return home.run(*arguments, module=(_CLOCK_JUMP, str(after_s), str(offset_s), module))


@row(
    "several processes on one store",
    "4 writers, 3 pulls, 3 enrollments with one code, 3 first uses at once",
    "every answer is stored, one pair and one identity are there, each process ends defined",
)
@_with_stored
def _several(stored: _Stored, trials: Trials) -> None:
    setting = stored.setting
    for _ in range(setting.count(3, 1)):
        with trials.trial():
            home = stored.home.copy("shared")
            started = [home.start("25", module=(HISTORY_WRITER,)) for _ in range(4)]
            ended = [command.wait().check(_OK) for command in started]
            check_history(
                home, [*stored.answers, *(id_ for each in ended for id_ in each.out.split())]
            )
        with trials.trial():
            home = stored.home.copy("shared")
            pulls = [home.start(*stored.pull) for _ in range(3)]
            codes = [command.wait().check(_OK, _MODEL).code for command in pulls]
            if _OK not in codes:
                raise Unheld("no pull succeeded")
            if (
                check_pair(home, setting.workload.manifest.id).version
                != setting.workload.manifest.version
            ):
                raise Unheld("the new pair is not installed")
        with trials.trial():
            home = stored.home.copy("shared")
            arguments = stored.enroll()
            enrolling = [home.start(*arguments) for _ in range(3)]
            codes = [command.wait().check(_OK, _IDENTITY, _VAULT).code for command in enrolling]
            if _OK not in codes:
                raise Unheld("no enrollment succeeded")
            stored.check(home)
        with trials.trial():
            home = Home(setting.scratch / "new")
            shutil.rmtree(home.directory, ignore_errors=True)
            first = [home.start("logs", "on") for _ in range(3)]
            for command in first:
                command.wait().check(_OK)
            check_history(home, home.run("3", module=(HISTORY_WRITER,)).check(_OK).out.split())


ROWS = (_full_disk, _read_only, _clock, _several)
