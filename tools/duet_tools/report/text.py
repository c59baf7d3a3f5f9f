"""A report as tables on the terminal, as Markdown, and its questions as CSV."""

import csv
import io
from collections.abc import Sequence

from duet_contract.terminal import printable
from duet_report.tables import aligned, markdown
from duet_tools.report.columns import EFFICIENCY, MAIN, facts, table
from duet_tools.report.page import LINK_HEAD, bytes_rows, link_rows
from duet_tools.report.verdicts import break_even_note, break_even_table, verdicts
from duet_tools.results.record import Record
from duet_tools.results.report import Report


def terminal(report: Report) -> str:
    """For a terminal: verdicts, then the conditions."""
    partial = [f"Partial: {report.partial}"] if report.partial else []
    notes = [f"Note: {note}" for note in report.notes]
    lines = [*partial, *verdicts(report), "", aligned(*table(MAIN, report)), "", *notes]
    return printable("\n".join(lines))


def as_markdown(report: Report) -> str:
    """For a README or a pull request."""
    parts = [f"# Split report: {report.pair}"]
    if report.partial:
        parts.append(f"**Partial:** {report.partial}")
    parts += [bullets(verdicts(report)), markdown(*table(MAIN, report))]
    for title, text, head_and_rows in (
        ("Efficiency", "", table(EFFICIENCY, report)),
        ("Break-even length (tokens)", break_even_note(report), break_even_table(report)),
        ("Bytes per token, down", "", (["encoding", "bytes"], bytes_rows(report))),
        ("Links", "", (LINK_HEAD, link_rows(report))),
    ):
        if written := markdown(*head_and_rows):
            parts += [f"## {title}", text, written]
    parts += ["## How it was measured", bullets(facts(report))]
    return "\n\n".join(part for part in parts if part) + "\n"


def questions_csv(records: Sequence[Record]) -> str:
    """Return a line for each question and a column for each field of `Record`, text fields last."""
    last = ("message", "signal", "answer")
    names = [name for name in Record.model_fields if name not in last] + list(last)
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.model_dump() for record in records)
    return out.getvalue()


def bullets(lines: Sequence[str]) -> str:
    """Return a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)
