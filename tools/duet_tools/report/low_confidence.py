"""Which answers the device marked as low in confidence: counted, and in words."""

from collections.abc import Sequence

from duet_tools.report.rows import mode
from duet_tools.results.record import Record
from duet_tools.results.report import CellReport, MarkedLow


def marked_low(records: Sequence[Record]) -> MarkedLow | None:
    """Counts the answers that a device judged; None where there are none.

    Left out: those of the large model, of a pair without a threshold, and without a reference.
    """
    judged = [
        record
        for record in records
        if record.low_confidence is not None and record.correct is not None
    ]
    if not judged:
        return None
    right = [record.low_confidence for record in judged if record.correct]
    wrong = [record.low_confidence for record in judged if not record.correct]
    return MarkedLow(
        right=len(right), right_marked=sum(map(bool, right)),
        wrong=len(wrong), wrong_marked=sum(map(bool, wrong)),
    )  # fmt: skip


def in_words(cells: Sequence[CellReport]) -> list[str]:
    """A statement a mode and budget, from the least to the most over its links and loads."""
    found: dict[str, list[MarkedLow]] = {}
    for cell in cells:
        if cell.marked_low:
            found.setdefault(mode(cell), []).append(cell.marked_low)
    return [_statement(name, counts) for name, counts in found.items()]


def _statement(name: str, counts: Sequence[MarkedLow]) -> str:
    right = [(each.right_marked, each.right) for each in counts if each.right]
    wrong = [(each.wrong_marked, each.wrong) for each in counts if each.wrong]
    told = (
        f"{_least_to_most([marked / of for marked, of in pairs], '.0%')} of "
        f"{_least_to_most([of for _, of in pairs], '.0f')} {word}"
        for pairs, word in ((right, "right"), (wrong, "wrong"))
        if pairs
    )
    return f"{name}: {' and '.join(told)} answers are marked as low in confidence."


def _least_to_most(values: Sequence[float], form: str) -> str:
    least, most = format(min(values), form), format(max(values), form)
    return least if least == most else f"{least} to {most}"
