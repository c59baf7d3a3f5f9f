"""The capture of what leaves a device as Markdown tables."""

from duet_report.tables import markdown
from duet_tools.privacy.judge import RELATIONS
from duet_tools.results.privacy import Captured, PrivacyResults


def privacy_table(results: PrivacyResults) -> str:
    """Return what was captured, what was searched, and with which code."""
    head = ("asked", "questions from", "questions", "with numbers", "with number words that stay",
            "requests", "bytes", "numbers sent", "distinguished by their numbers")  # fmt: skip
    rows = [
        (
            row.way,
            row.source,
            f"{row.questions:,}",
            f"{row.with_numbers:,}",
            f"{row.with_relations:,}",
            f"{row.requests:,}",
            f"{row.bytes:,}",
            str(row.numbers_sent),
            _distinguished(row),
        )
        for row in results.captured
    ]
    searched = [
        (each.what, str(each.questions), f"{each.bytes:,}", str(each.numbers_found))
        for each in results.written
    ]
    versions = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    return (
        f"{markdown(head, rows)}\n\n"
        f"{markdown(('searched', 'questions', 'bytes', 'numbers found'), searched)}\n\n"
        f"Captured with {results.pair}, {versions}, {results.date}, seed {results.seed}.\n"
    )


def _distinguished(row: Captured) -> str:
    if not row.twins:
        return "not compared"
    text = f"{row.twins_told_apart} of {row.twins:,}"
    others = row.twins_asked_differently
    return f"{text}, {others} by the count of requests" if others else text


def relations_table() -> str:
    """Return the number words that leave the device."""
    rows = [(kind, ", ".join(words.split())) for kind, words in RELATIONS.items()]
    return f"{markdown(('state', 'words'), rows)}\n"
