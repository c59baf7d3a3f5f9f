"""Marks of a pair, and what further signals gain, as Markdown tables."""

from duet_report.numbers import points, share
from duet_report.tables import markdown
from duet_tools.marks.figures import Marks, MarksReport

_REAL = "real"
_TOGETHER = "all real sets"


def marks_table(report: MarksReport) -> str:
    """Return the table of marks, and below it what it was measured with."""
    head = (
        *("questions", "", "right", "AUROC", "ECE", "ECE, refitted", "marked", "right, unmarked"),
        *("right, surer half", "surer half against all"),
    )
    rows = [_row(name, one) for name, one in report.marks.items()]
    return (
        f"{markdown(head, rows)}\n\n"
        f"Pair {report.pair}, {report.date}; its calibration was fitted on {report.fitted_on}.\n"
    )


def further_table(report: MarksReport) -> str:
    """Return the table of the ways to use further signals."""
    head = ("questions", "way", "right", "signal tokens", "against greedy", "trials")
    rows = [
        (
            _named(name),
            way,
            f"{one.right:.1%}",
            f"{one.tokens:.1f}",
            points(one.gain),
            _trials(one.trials),
        )
        for name, ways in report.further.items()
        for way, one in ways.items()
    ]
    return markdown(head, rows) + "\n"


def _row(name: str, one: Marks) -> tuple[str, ...]:
    auroc = one.auroc
    return (
        _named(name),
        str(one.questions),
        share(one.right),
        "" if auroc is None else f"{auroc.value:.2f} ({auroc.low:.2f} to {auroc.high:.2f})",
        "" if one.ece is None else f"{one.ece:.3f}",
        f"{min(one.ece_refitted):.3f} to {max(one.ece_refitted):.3f}",
        f"{one.marked:.0%}",
        share(one.right_unmarked) if one.right_unmarked else "",
        share(one.right_surer_half),
        "" if one.gain is None else f"{one.gain:.2f}",
    )


def _named(name: str) -> str:
    return _TOGETHER if name == _REAL else f"`{name}`"


def _trials(shares: tuple[float, ...]) -> str:
    return ", ".join(f"{each:.1%}" for each in shares)
