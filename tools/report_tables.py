"""Makes tables from a results file: `python tools/report_tables.py --help`."""

import sys
from pathlib import Path

import click
from rich.table import Table

from tools.bench.errors import BenchError, UsageProblem
from tools.bench.results import Figure, Results, Summary, read_results
from tools.ending import end
from tools.options import FILE, HELP

START, END = "<!-- bench:start -->", "<!-- bench:end -->"
DEFAULT_RESULTS = Path(__file__).parent / "results" / "split_cpu.json"
_HEADINGS = ("figure", "DUET", "peer", "judged", "target", "met")


def markdown(results: Results) -> str:
    """The table for a README, with the facts that its figures depend on below it."""
    rows = [_HEADINGS, *map(_row, results.figures)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|---|---|---|---|---|")
    machine = results.machine
    where = f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB"
    if machine.accelerator:
        where += f", {machine.accelerator}"
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    return (
        "\n".join(lines)
        + "\n\nMedian over the repeats, smallest to largest in brackets; ratios are taken repeat "
        f"by repeat. Pair {results.pair}, {results.date}, {where}, {versions}.\n"
    )


def console_table(results: Results) -> Table:
    """The same table for a terminal."""
    table = Table(*_HEADINGS, title=f"{results.pair} on {results.machine.cpu}")
    for figure in results.figures:
        colour = {True: "green", False: "red", None: ""}[figure.met]
        table.add_row(*_row(figure), style=colour)
    return table


def updated(text: str, table: str) -> str:
    """`text` with `table` between the two marks.

    Raises:
        UsageProblem: the marks are missing or in the wrong order.
    """
    head, start, rest = text.partition(START)
    _, end, tail = rest.partition(END)
    if not start or not end:
        raise UsageProblem(f"it has no place for the table: put {START} and {END} into it")
    return f"{head}{START}\n{table}{END}{tail}"


def _row(figure: Figure) -> tuple[str, ...]:
    target = figure.target
    return (
        figure.title,
        _cell(figure.subject.summary, figure.unit),
        f"{_cell(figure.peer.summary, figure.unit)}, {figure.peer.name}" if figure.peer else "",
        _cell(figure.judged, figure.judged_unit),
        f"{target.comparison} {target.value:g}" if target else "",
        {True: "yes", False: "no", None: ""}[figure.met],
    )


def _cell(summary: Summary, unit: str) -> str:
    low, middle, high = (_number(value) for value in (summary.min, summary.median, summary.max))
    word = "" if unit == "ratio" else f" {unit}"
    return f"{middle}{word}" if low == high else f"{middle}{word} ({low} to {high})"


def _number(value: float) -> str:
    """Three significant digits, never in scientific notation."""
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


@click.command(context_settings=HELP)
@click.argument(
    "results",
    type=FILE,
    default=DEFAULT_RESULTS,
    required=False,
)
@click.option(
    "--update",
    type=FILE,
    metavar="FILE",
    help=f"Rewrite what stands between {START} and {END} in FILE.",
)
@click.option(
    "--check", is_flag=True, help="With --update: change nothing, exit 1 if FILE is stale."
)
def tables(results: Path, update: Path | None, check: bool) -> None:
    """Print the Markdown table of RESULTS, or put it into a file."""
    if check and not update:
        raise UsageProblem("--check needs --update FILE")
    table = markdown(read_results(results))
    if update is None:
        click.echo(table, nl=False)
        return
    try:
        text = update.read_text("utf-8")
        wanted = updated(text, table)
        if text == wanted:
            return
        if check:
            raise BenchError(
                f"{update} is stale: python tools/report_tables.py {results.name} --update {update}"
            )
        update.write_text(wanted, "utf-8")
    except OSError as error:
        raise UsageProblem(f"cannot read or write {update}: {error.strerror}") from error
    except UsageProblem as error:
        raise UsageProblem(f"{update}: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 done, 1 stale, 2 usage."""
    return end(tables, "report_tables.py", arguments)


if __name__ == "__main__":
    sys.exit(main())
