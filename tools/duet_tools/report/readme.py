"""A report as a README shows it: what each mode gave, its times link by link, what follows."""

from collections.abc import Callable, Iterable

from duet_tools.report.rows import answered, mode, number, seconds, share
from duet_tools.results.report import CellReport, Metric, Report

_HEADINGS = ("mode", "accuracy (95%)", "large-model tokens", "bytes down")

# A handshake's bytes are measured by `duet_tools.tls_cost`; the round trip is TLS 1.3's.
_PLAINTEXT = (
    "Connections were plaintext: mutual TLS adds about 2.0 KB up, 3.0 KB down and a round trip to "
    "each new one (cloud/README.md). "
)


def readme(report: Report) -> str:
    """The tables, the statements, and the facts that the figures depend on below them."""
    partial = f"**Partial:** {report.partial}\n\n" if report.partial else ""
    statements = "".join(f"- {each}\n" for each in report.statements)
    tables = f"{_modes(report)}\n{_times(report)}"
    return f"{partial}{tables}\n{statements}{chr(10) * bool(statements)}{_facts(report)}\n"


def _modes(report: Report) -> str:
    """What hardly depends on the link: a row for each mode and load."""
    rows = [
        (
            name,
            _least_to_most(cells, _accuracy, _share),
            _least_to_most(cells, _mean("large_tokens"), _words("large_tokens")),
            "" if _is_alone(cells[0]) else _least_to_most(
                cells, _mean("wire_down"), _words("wire_down")
            ),
        )
        for name, cells in _by_name(report).items()
    ]  # fmt: skip
    return _table([_HEADINGS, *rows])


def _times(report: Report) -> str:
    """End to end, median and 95th percentile: a row for each link, a column for each mode."""
    columns = _by_name(report)
    links = dict.fromkeys(cell.cell.link for cell in report.cells if not _is_alone(cell))
    rows = [("end to end p50 / p95", *columns)]
    for link in links:
        row = [link]
        for cells in columns.values():
            found = [cell for cell in cells if cell.cell.link == link or _is_alone(cell)]
            row.append(_time(found[0]) if found else "")
        rows.append(tuple(row))
    return _table(rows)


def _time(cell: CellReport) -> str:
    text = seconds(cell, "total_ms", ("p50", "p95"))
    if cell.answered < cell.asked or not cell.complete:
        text += f", {answered(cell)}"
    return text


def _by_name(report: Report) -> dict[str, list[CellReport]]:
    """The cells of each mode, and load where there are several: one for each link."""
    # A load is named once below the table, where all cells have the same.
    several = len(_loads(report)) > 1
    found: dict[str, list[CellReport]] = {}
    for cell in report.cells:
        load = f", {cell.cell.load}" if several and not _is_alone(cell) else ""
        found.setdefault(mode(cell) + load, []).append(cell)
    return found


def _share(cell: CellReport) -> str:
    """A cell's accuracy in words."""
    return share(cell.accuracy)


def _words(name: Metric) -> Callable[[CellReport], str]:
    """A cell's mean of a metric in words."""
    return lambda cell: number(cell.metrics[name].mean)


def _accuracy(cell: CellReport) -> float | None:
    return cell.accuracy.value if cell.accuracy else None


def _mean(name: Metric) -> Callable[[CellReport], float | None]:
    return lambda cell: cell.metrics[name].mean if name in cell.metrics else None


def _least_to_most(
    cells: Iterable[CellReport],
    value: Callable[[CellReport], float | None],
    words: Callable[[CellReport], str],
) -> str:
    """The words of the least and of the most over all links; once, where they are the same."""
    known = [(of, words(cell)) for cell in cells if (of := value(cell)) is not None]
    if not known:
        return ""
    least, most = min(known)[1], max(known)[1]
    return least if least == most else f"{least} to {most}"


def _is_alone(cell: CellReport) -> bool:
    # No link is passed, and nothing is brought down it.
    return cell.cell.mode == "device-alone"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    head, *rest = rows
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * len(head), *rest))


def _facts(report: Report) -> str:
    settings, loads = report.settings, _loads(report)
    load = f", {loads[0]}" if len(loads) == 1 else ""
    return (
        "Tokens and bytes are means a question; bytes are all that TCP carries. "
        f"{'' if settings.tls else _PLAINTEXT}Pair "
        f"{report.pair}, {settings.questions} questions{load}, {report.date}, "
        f"{report.machine.in_words}. Measured with `{report.command}`."
    )


def _loads(report: Report) -> list[str]:
    """The loads of those cells that can have several."""
    cells = (cell.cell for cell in report.cells if not _is_alone(cell))
    return list(dict.fromkeys(cell.load for cell in cells))
