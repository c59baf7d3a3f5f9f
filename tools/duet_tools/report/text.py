"""A report as a table on the terminal, as Markdown, and its questions as CSV."""

import csv
import io
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from duet_tools.progress import plain
from duet_tools.report import rows
from duet_tools.results.record import Record
from duet_tools.results.report import Report


def console(report: Report) -> RenderableType:
    """For a terminal: the cells, then what follows from them."""
    table = Table(*rows.headings(report), title=plain(f"{report.pair} on {report.machine.cpu}"))
    for row in rows.rows(report):
        table.add_row(*map(plain, row))
    lines = [*report.statements, *(f"Note: {note}" for note in report.notes)]
    if report.partial:
        lines.insert(0, f"Partial: {report.partial}")
    return Group(table, *map(plain, lines))


def markdown(report: Report) -> str:
    """For a README or a pull request."""
    heading = f"# Split report: {report.pair}\n"
    if report.partial:
        heading += f"\n**Partial:** {report.partial}\n"
    parts = [heading, _table(rows.headings(report), rows.rows(report))]
    if report.statements:
        parts.append("## What follows\n\n" + _list(report.statements))
    if report.bytes_per_token:
        costs = [(name, f"{cost:.2f}") for name, cost in report.bytes_per_token.items()]
        parts.append(
            "## Bytes down the wire a token, on a connection of its own\n\n"
            + _table(("encoding", "bytes"), costs)
        )
    parts.append("## Links\n\n" + _table(("link", "RTT", "up", "down", "source"), _links(report)))
    parts.append("## How it was measured\n\n" + _list([*rows.facts(report), *report.notes]))
    return "\n".join(parts)


def questions_csv(records: Sequence[Record]) -> str:
    """A line a question, a column a field of `Record`, its text fields last."""
    last = ("message", "answer")
    names = [name for name in Record.model_fields if name not in last] + list(last)
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.model_dump() for record in records)
    return out.getvalue()


def _links(report: Report) -> list[tuple[str, ...]]:
    def rate(bits: float | None) -> str:
        return "no limit" if bits is None else f"{rows.number(bits)}bit/s"

    return [
        (link.name, f"{link.rtt_ms:g} ms", rate(link.up_bit_s), rate(link.down_bit_s), link.source)
        for link in report.links
    ]


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [headings, ["---"] * len(headings), *lines]
    return "".join(f"| {' | '.join(_cell(c) for c in line)} |\n" for line in cells)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _list(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
