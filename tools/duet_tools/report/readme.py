"""A report for a README: verdicts, results of each mode, its times and break-even by link."""

from collections.abc import Callable, Sequence

from duet_report.tables import markdown
from duet_tools.report.columns import accuracy, answered, marked, mean, mode, seconds
from duet_tools.report.text import bullets
from duet_tools.report.verdicts import break_even_note, break_even_table, verdicts
from duet_tools.results.report import ConditionReport, Metric, Report

# A handshake's bytes are measured by `duet-bench tls`; the round trip is TLS 1.3's.
_PLAINTEXT = (
    "Connections were plaintext: mutual TLS adds about 2.0 KB up, 3.0 KB down and a round trip to "
    "each new one (cloud/README.md). "
)
# Of each column the value that orders its texts, and the text.
_COLUMNS: dict[str, tuple[Callable[[ConditionReport], float], Callable[[ConditionReport], str]]] = {
    "accuracy (95% CI)": (lambda measured: measured.accuracy.value if measured.accuracy else 0.0, accuracy),
    "large-model tokens": (lambda measured: _mean(measured, "large_tokens"), mean("large_tokens")),
    "bytes down": (
        lambda measured: _mean(measured, "wire_down"),
        lambda measured: "" if _is_alone(measured) else mean("wire_down")(measured),
    ),
    "marked low (right / wrong)": (
        lambda measured: measured.marked_low.right_share if measured.marked_low else 0.0, marked
    ),
}  # fmt: skip


def readme(report: Report) -> str:
    """Return the verdicts, the tables, and the facts that the figures depend on below them."""
    even = markdown(*break_even_table(report))
    parts = [
        f"**Partial:** {report.partial}" if report.partial else "",
        bullets(verdicts(report)),
        _modes(report),
        _times(report),
        f"{break_even_note(report)}\n\n{even}" if even else "",
        _facts(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _modes(report: Report) -> str:
    """Return the values that hardly depend on the link: a row for each mode and load."""
    rows = [
        [name, *(_least_to_most(conditions, *column) for column in _COLUMNS.values())]
        for name, conditions in _by_name(report).items()
    ]
    return markdown(["mode", *_COLUMNS], rows)


def _least_to_most(
    conditions: Sequence[ConditionReport],
    value: Callable[[ConditionReport], float],
    text: Callable[[ConditionReport], str],
) -> str:
    """Return the texts of the smallest and largest value over all links; one text if equal."""
    known = [text(measured) for measured in sorted(conditions, key=value) if text(measured)]
    return " to ".join(dict.fromkeys(known[:1] + known[-1:]))


def _mean(measured: ConditionReport, name: Metric) -> float:
    return measured.metrics[name].mean if name in measured.metrics else 0.0


def _times(report: Report) -> str:
    """End to end, median and 95th percentile: a row for each link, a column for each mode."""
    columns = _by_name(report)
    links = dict.fromkeys(
        measured.condition.link for measured in report.conditions if not _is_alone(measured)
    )
    rows = []
    for link in links:
        row = [link]
        for conditions in columns.values():
            found = [
                measured
                for measured in conditions
                if measured.condition.link == link or _is_alone(measured)
            ]
            row.append(_time(found[0]) if found else "")
        rows.append(row)
    return markdown(["end to end p50 / p95 (s)", *columns], rows)


def _time(measured: ConditionReport) -> str:
    text = " / ".join(seconds("total_ms", which)(measured) for which in ("p50", "p95"))
    if measured.answered < measured.asked or not measured.complete:
        text += f", {answered(measured)}"
    return text


def _by_name(report: Report) -> dict[str, list[ConditionReport]]:
    """Return the conditions of each mode, and load where there are several: one for each link."""
    # A load is named once below the table, where all conditions have the same.
    several = len(_loads(report)) > 1
    found: dict[str, list[ConditionReport]] = {}
    for measured in report.conditions:
        load = f", {measured.condition.load}" if several and not _is_alone(measured) else ""
        found.setdefault(mode(measured) + load, []).append(measured)
    return found


def _is_alone(measured: ConditionReport) -> bool:
    # No link is passed, and nothing is brought down it.
    return measured.condition.mode == "device-alone"


def _facts(report: Report) -> str:
    settings, loads = report.settings, _loads(report)
    load = f", {loads[0]}" if len(loads) == 1 else ""
    shared = "Cloud and device shared one machine. " if settings.started_here else ""
    return (
        "Tokens and bytes are means per question; bytes are all that TCP carries. "
        f"{'' if settings.tls else _PLAINTEXT}{shared}Pair "
        f"{report.pair}, {settings.questions} questions{load}, {report.date}, "
        f"{report.machine.in_words}. Measured with `{report.command}`."
    )


def _loads(report: Report) -> list[str]:
    """Return the loads of those conditions that can have several."""
    conditions = (measured.condition for measured in report.conditions if not _is_alone(measured))
    return list(dict.fromkeys(condition.load for condition in conditions))
