"""The fault matrix as a Markdown table."""

from duet_report.tables import markdown
from duet_tools.results.faults import FaultMatrix, FaultResult

_HEAD = ("fault", "what is done", "to hold", "trials", "held", "otherwise", "measured")


def fault_table(matrix: FaultMatrix) -> str:
    """Return the table, and below it where its rows were measured."""
    rows = [_row(row) for row in matrix.rows]
    dates = ", ".join(sorted({row.date for row in matrix.rows}))
    engines = ", ".join(row.name for row in matrix.rows if row.engine == "vLLM") or "none"
    short = ", ".join(row.name for row in matrix.rows if row.quick) or "none"
    return (
        f"{markdown(_HEAD, rows)}\n\n"
        f"Measured on {matrix.machine.in_words}, pair {matrix.pair}, {dates}. "
        f"Rows with vLLM: {engines}. Rows of the short version: {short}.\n"
    )


def _row(row: FaultResult) -> tuple[str, ...]:
    if row.not_run:
        return (row.name, row.fault, row.expected, "0", "", f"not run: {row.not_run}", "")
    others = "; ".join(f"{count:,} {what}" for what, count in row.otherwise.items())
    measured = "; ".join(f"{name} {value:.4g}" for name, value in row.figures.items())
    counts = (f"{row.trials:,}", f"{row.held:,}")
    return (row.name, row.fault, row.expected, *counts, others, measured)
