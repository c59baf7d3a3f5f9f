"""The report as one HTML page: verdicts, the main table, plots, questions, and what names mean."""

from collections.abc import Sequence

from duet_report.numbers import number
from duet_report.page import Page, Section, StyledCell, Table, html
from duet_tools.report.columns import EFFICIENCY, MAIN, METRICS, MODES, Column, facts, mode, table
from duet_tools.report.verdicts import break_even_note, break_even_table, verdicts
from duet_tools.results.questions import QuestionRow
from duet_tools.results.record import Record
from duet_tools.results.report import ConditionReport, Report

_MOST_CHARACTERS = 300
_MOST_QUESTIONS = 500


def page(
    report: Report, records: Sequence[Record] = (), questions: Sequence[QuestionRow] = ()
) -> str:
    """Return the page's HTML; without records of the questions it has no table of them."""
    # matplotlib takes a second to load, which --help and errors of usage do not need.
    from duet_tools.report.plots import plots

    machine = report.machine
    accelerator = f", {machine.accelerator}" if machine.accelerator else ""
    return html(
        Page(
            title=f"Split report: {report.pair}",
            subtitle=f"{report.settings.questions} questions of {report.settings.data}, "
            f"{report.date}, {machine.cpu}, {machine.cores} cores{accelerator}",
            warning=f"Partial: {report.partial}" if report.partial else "",
            verdicts=verdicts(report),
            sections=[
                Section("Every mode, link and load", tables=[_columns(MAIN, report)]),
                Section("Plots", plots=plots(report)),
                Section(
                    "Break-even length (tokens)",
                    break_even_note(report),
                    tables=[Table(*break_even_table(report))],
                ),
                Section(
                    "Questions",
                    "The first link and load of each mode. Marked: the device said that its "
                    "confidence was low.",
                    tables=_questions(report, records, questions),
                ),
                Section("Efficiency", tables=[_columns(EFFICIENCY, report)]),
                Section(
                    "Bytes per token, down", "On a connection of its own.",
                    tables=[Table(["encoding", "bytes"], bytes_rows(report))],
                ),
                Section("Metrics by mode, link and load", tables=[_metrics(each) for each in report.conditions]),
                Section("Other figures of the bench", tables=[_figures(report)]),
                Section(
                    "Links",
                    tables=[Table(LINK_HEAD, link_rows(report), frozenset({4}))],
                ),
                Section("What the names mean", tables=[_names(report)]),
                Section("How it was measured", items=facts(report)),
            ],
        )
    )  # fmt: skip


LINK_HEAD = ("link", "round trip", "up", "down", "source")


def link_rows(report: Report) -> list[list[str]]:
    """Return a row for each emulated link."""

    def rate(bits: float | None) -> str:
        return "no limit" if bits is None else f"{number(bits)}bit/s"

    return [
        [link.name, f"{link.rtt_ms:g} ms", rate(link.up_bit_s), rate(link.down_bit_s), link.source]
        for link in report.links
    ]


def bytes_rows(report: Report) -> list[list[str]]:
    """Return bytes per token of each encoding."""
    return [[name, f"{cost:.2f}"] for name, cost in report.bytes_per_token.items()]


def _columns(columns: Sequence[Column], report: Report) -> Table:
    return Table(*table(columns, report))


def _questions(
    report: Report, records: Sequence[Record], questions: Sequence[QuestionRow]
) -> list[Table]:
    first: dict[str, ConditionReport] = {}
    for measured in report.conditions:
        first.setdefault(mode(measured), measured)
    head = ["question", "", "signal or reasoning", "answer", "reference", "marked"]
    found = []
    for name, measured in first.items():
        own = [record for record in records if record.condition == measured.id][:_MOST_QUESTIONS]
        rows = [_question(record, questions) for record in own]
        title = (
            f"{name}, {measured.condition.link}, {measured.condition.load}: {len(rows)} questions"
        )
        found.append(Table(head, rows, frozenset({0, 2, 3, 4}), title))
    return found


def _question(record: Record, questions: Sequence[QuestionRow]) -> list[str | StyledCell]:
    asked = questions[record.index] if record.index < len(questions) else None
    if not record.ok:
        judged = StyledCell(record.status, "bad")
    elif record.correct is None:
        judged = StyledCell("")
    else:
        judged = StyledCell("right", "good") if record.correct else StyledCell("wrong", "bad")
    return [
        _short(asked.text if asked else record.id),
        judged,
        _short(record.signal),
        _short(record.answer if record.ok else record.message),
        _short(asked.answer or "" if asked else ""),
        "marked" if record.low_confidence else "",
    ]


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."


def _metrics(measured: ConditionReport) -> Table:
    rows = [
        [name, METRICS[name][0], str(p.count)]
        + [number(value) for value in (p.mean, p.p50, p.p90, p.p95, p.p99)]
        for name, p in measured.metrics.items()
    ]
    return Table(
        ["metric", "unit", "questions", "mean", "p50", "p90", "p95", "p99"], rows, title=measured.id
    )


def _figures(report: Report) -> Table:
    rows = [
        [
            figure.title,
            f"{number(figure.subject.summary.median)} {figure.unit}",
            f"{number(figure.peer.summary.median)} {figure.unit}, {figure.peer.name}"
            if figure.peer
            else "",
            f"{number(figure.judged.median)} {figure.judged_unit}",
        ]
        for figure in report.figures
    ]
    return Table(["figure", "median", "peer", "judged"], rows, frozenset({0, 2}))


def _names(report: Report) -> Table:
    modes = {measured.condition.mode for measured in report.conditions}
    columns = {each.name: each for each in (*MAIN, *EFFICIENCY) if each.shown(report)}
    rows = [[name, "mode", meaning] for name, meaning in MODES.items() if name in modes]
    rows += [[name, "column", each.meaning] for name, each in columns.items()]
    rows += [[name, unit, meaning] for name, (unit, meaning) in METRICS.items()]
    return Table(["name", "unit or kind", "meaning"], rows, frozenset({2}))
