"""`duet-device logs` and `duet-device forget`: the answers that the device stores."""

import datetime as dt
from typing import TYPE_CHECKING

import click

from duet_contract.commands import Integer, option
from duet_contract.terminal import printable_json
from duet_device.commands.output import note, show, show_path
from duet_device.errors import ExitCode, UsageProblem, VaultError
from duet_device.home import home

if TYPE_CHECKING:
    from duet_device.history.store import History, Record

_WHAT = (
    "question, what was sent of it, signal, answer, receipt, and the names of files given with "
    "--context (never what is in them)"
)


@click.group(invoke_without_command=True)
@click.option(
    "-n",
    "--count",
    type=Integer(0),
    default=3,
    metavar="N",
    help="Number of newest answers; 0 shows all.",
)
@option("--search", None, "TEXT", "Only answers whose question or answer has TEXT, in any case.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_context
def logs(context: click.Context, count: int, search: str | None, as_json: bool) -> int:
    """Show the newest stored answers, the newest last.

    Nothing is stored before `duet-device logs on`.
    """
    if context.invoked_subcommand:
        return ExitCode.OK
    from duet_device.history.store import History

    history = History.of(home(create=False))
    if not history.ids():
        note("there are no stored answers" + history.hint)
        return ExitCode.OK
    damaged: list[str] = []

    def report(id_: str, error: VaultError) -> None:
        note(f"answer {id_} cannot be read: {error}")
        damaged.append(id_)

    other = 0
    found: list[tuple[str, Record]] = []
    for id_, record in history.records(report):
        if search is None or _holds(record, search):
            found.append((id_, record))
            if len(found) == count:
                break
        else:
            other += 1
    for id_, record in reversed(found):
        _show(id_, record, as_json)
    if search is not None and not found:
        note("no stored answer has that text")
    return _end(len(damaged), len(damaged) + other + len(found))


def _holds(record: "Record", text: str) -> bool:
    wanted = text.casefold()
    return any(wanted in each.casefold() for each in (record.question, record.receipt.answer))


@logs.command("on")
def logs_on() -> None:
    """Store answers from now on, encrypted."""
    from duet_device.history.store import History
    from duet_device.vault.vault import Vault, key_place

    directory = home()
    Vault.open(directory)
    history = History.of(directory)
    history.enable(True)
    show(f"answers are stored in {history.path}, encrypted; the key: {key_place(directory)}")
    show(f"stored: {_WHAT}")


@logs.command("off")
def logs_off() -> None:
    """Stop storing answers; stored ones stay."""
    from duet_device.history.store import History

    history = History.of(home(create=False))
    history.enable(False)
    count = len(history.ids())
    rest = f"; {count} stay, duet-device forget --all removes them" if count else ""
    show(f"no more answers are stored{rest}")


@logs.command("path")
def logs_path() -> None:
    """Print the directory of stored answers."""
    from duet_device.history.store import History

    show_path(History.of(home(create=False)).path)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--all", "everything", is_flag=True, allow_from_autoenv=False, help="Remove every answer."
)
@option(
    "--before",
    click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    "DATE",
    "Remove answers before YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, local time.",
    allow_from_autoenv=False,
)
def forget(ids: tuple[str, ...], everything: bool, before: dt.datetime | None) -> int:
    """Remove stored answers permanently: by ID, all, or those before a date."""
    if sum([bool(ids), everything, before is not None]) != 1:
        raise UsageProblem("give either IDs (see duet-device logs), --all or --before DATE")
    from duet_device.history.store import History, check_ids

    history = History.of(home(create=False))
    there = history.ids()
    check_ids(list(ids), there)
    damaged = 0
    if before:
        chosen, damaged = _from_before(history, before)
    else:
        chosen = there if everything else list(ids)
    count = history.forget(chosen)
    show(f"{count} answer{'' if count == 1 else 's'} forgotten")
    return _end(damaged, len(there))


def _from_before(history: "History", before: dt.datetime) -> tuple[list[str], int]:
    """Return the ids of answers from before a local time, and how many have no readable date."""
    try:
        before = before.astimezone()
    except (OverflowError, ValueError, OSError) as error:
        raise UsageProblem(f"--before {before:%Y-%m-%d} is out of range here: {error}") from error
    damaged: list[str] = []

    def report(id_: str, error: VaultError) -> None:
        note(f"answer {id_} cannot be read and stays: {error}; duet-device forget {id_} removes it")
        damaged.append(id_)

    chosen = [id_ for id_, record in history.records(report) if record.at < before]
    return chosen, len(damaged)


def _end(damaged: int, count: int) -> int:
    """Report how many answers cannot be read, and return the exit code."""
    if not damaged:
        return ExitCode.OK
    # A note and not an error, which --json would print to stdout, after the results.
    note(f"{damaged} of {count} answers cannot be read")
    return ExitCode.VAULT


def _show(id_: str, record: "Record", as_json: bool) -> None:
    if as_json:
        show(printable_json({"id": id_, **record.model_dump(mode="json")}))
        return
    from duet_device.commands.output import receipt_details

    at = record.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    chat = f"  chat {record.conversation}" if record.conversation else ""
    lines = [f"{id_}  {at}  {record.receipt.pair}{chat}", f"question: {record.question}"]
    if record.key.sent != record.question:
        lines.append(f"sent: {record.key.sent}")
    if record.context:
        lines.append(f"context: {', '.join(record.context)}")
    if record.signal:
        lines.append(f"signal: {record.signal.text}")
    lines += [f"answer: {record.receipt.answer}", receipt_details(record.receipt), ""]
    show("\n".join(lines))
