"""A report as a README shows it: link by link what each mode gave, and what follows."""

from collections.abc import Sequence

from tools.report.model import CellReport, Report
from tools.report.rows import answered, metric, mode, seconds, share

_HEADINGS = (
    "link", "mode", "accuracy (95%)", "large-model tokens", "end to end p50 / p95", "bytes down",
)  # fmt: skip


def readme(report: Report) -> str:
    """The table, the statements, and the facts that the figures depend on below them."""
    partial = f"**Partial:** {report.partial}\n\n" if report.partial else ""
    statements = "".join(f"- {each}\n" for each in report.statements)
    return f"{partial}{_table(report)}\n{statements}{chr(10) * bool(statements)}{_facts(report)}\n"


def _table(report: Report) -> str:
    # A load is named once below the table, where all cells have the same.
    several = len(_loads(report)) > 1
    rows: list[Sequence[str]] = [_HEADINGS, ["---"] * len(_HEADINGS)]
    for link in dict.fromkeys(cell.cell.link for cell in report.cells):
        cells = [cell for cell in report.cells if cell.cell.link == link]
        rows += [_row(cell, several) for cell in cells]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(cell: CellReport, several: bool) -> tuple[str, ...]:
    name = mode(cell)
    if several:
        name += f", {cell.cell.load}"
    if cell.answered < cell.asked or not cell.complete:
        name += f", {answered(cell)}"
    # No link is passed, and nothing is brought down it.
    alone = cell.cell.mode == "device-alone"
    return (
        "" if alone else cell.cell.link,
        name,
        share(cell.accuracy),
        metric(cell, "large_tokens"),
        seconds(cell, "total_ms", ("p50", "p95")),
        "" if alone else metric(cell, "wire_down"),
    )


def _facts(report: Report) -> str:
    settings, loads = report.settings, _loads(report)
    load = f", {loads[0]}" if len(loads) == 1 else ""
    return (
        "Tokens and bytes are means a question; bytes are all that TCP carries. Pair "
        f"{report.pair}, {settings.questions} questions{load}, {report.date}, "
        f"{report.machine.in_words}. Measured with `{report.command}`."
    )


def _loads(report: Report) -> list[str]:
    """The loads of those cells that can have several."""
    cells = (cell.cell for cell in report.cells if cell.cell.mode != "device-alone")
    return list(dict.fromkeys(cell.load for cell in cells))
