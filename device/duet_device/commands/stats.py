"""`duet-device stats`: what the stored answers saved against the large model alone."""

import csv
import datetime as dt
import io
from typing import TYPE_CHECKING, Any

import click

from duet_contract.commands import Integer, Number, option
from duet_contract.terminal import counted, printable_json
from duet_device.commands.output import note, show
from duet_device.commands.tables import table
from duet_device.errors import DeviceError, ExitCode, UsageProblem
from duet_device.home import home

if TYPE_CHECKING:
    from duet_device.history.savings import Cost
    from duet_device.history.store import History

_MILLION = 1_000_000
# So that no amount is beyond any float.
_MOST_PRICE = 1e9


@click.command()
@option("--days", Integer(1), "N", "Only the last N days, today included [all].")
@option(
    "--price",
    Number(0, _MOST_PRICE),
    "P",
    "Price of a million tokens of the large model, in any currency.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print a line of CSV for each day.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def stats(days: int | None, price: float | None, as_csv: bool, as_json: bool) -> int:
    """Show what the stored answers saved against the large model alone, by day.

    What the large model alone would cost is an estimate: its mean tokens before joint training
    (from the pair's manifest, or else signal and answer), at the bytes and seconds per signal
    token of this device's link.
    """
    if as_csv and as_json:
        raise UsageProblem("--csv and --json are alternatives")
    from duet_device.history.savings import Cost, by_day
    from duet_device.history.store import History

    history = History.of(home(create=False))
    answers, damaged = _answers(history, days)
    found = by_day(answers, _parameters)
    total = Cost()
    for cost in found.values():
        total.add(cost)
    if as_json:
        rows = [{"day": day.isoformat(), **_row(cost, price)} for day, cost in found.items()]
        show(printable_json({"days": rows, "total": _row(total, price)}))
    elif as_csv:
        show(_csv(found, price))
    elif found:
        show(_chart(found, total, price))
        note(
            "saved: estimated against each pair's large model alone, before training for the split"
        )
    else:
        note("there are no stored answers" + history.hint)
    if damaged:
        note(f"{counted(damaged, 'stored answer')} cannot be read and not counted")
        return ExitCode.VAULT
    return ExitCode.OK


def _answers(history: "History", days: int | None) -> tuple[list[tuple[dt.datetime, Any]], int]:
    """Return time and receipt of each stored answer, and how many cannot be read."""
    # By their numbers, which may lie before the first date of the calendar.
    first = dt.datetime.now().astimezone().date().toordinal() - days + 1 if days else 0
    damaged: list[str] = []
    answers = [
        (record.at, record.receipt)
        for _, record in history.records(lambda id_, _: damaged.append(id_))
        if record.at.astimezone().date().toordinal() >= first
    ]
    return answers, len(damaged)


def _parameters(pair: str) -> int | None:
    from duet_device.pairs.pair import open_pair

    try:
        return open_pair(pair.partition("@")[0]).manifest.reasoner.parameters
    except DeviceError:
        return None


def _row(cost: "Cost", price: float | None) -> dict[str, Any]:
    row = dict(vars(cost))
    for name in ("seconds", "seconds_saved"):
        row[name] = round(row[name], 3)
    if price is not None:
        row["money_saved"] = round(cost.tokens_saved * price / _MILLION, 6)
    return row


def _csv(found: "dict[dt.date, Cost]", price: float | None) -> str:
    text = io.StringIO()
    rows = [{"day": day.isoformat(), **_row(cost, price)} for day, cost in found.items()]
    from duet_device.history.savings import Cost

    writer = csv.DictWriter(text, ["day", *_row(Cost(), price)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().removesuffix("\n")


def _chart(found: "dict[dt.date, Cost]", total: "Cost", price: float | None) -> str:
    """Return a line a day, with a bar of the tokens saved where the terminal has room for it."""
    heads = ["day", "answers", "tokens saved", "bytes saved", "time saved"]
    heads += ["money saved"] if price is not None else []
    rows = [heads]
    for day, cost in [*((each.isoformat(), found[each]) for each in found), ("total", total)]:
        cells = [day, f"{cost.answers:,}", f"{cost.tokens_saved:,}", f"{cost.bytes_saved:,}"]
        cells.append(f"{cost.seconds_saved:,.1f} s")
        if price is not None:
            cells.append(f"{cost.tokens_saved * price / _MILLION:,.2f}")
        rows.append(cells)
    bars = [cost.tokens_saved for cost in found.values()]
    return table(rows, [None, *bars, None])
