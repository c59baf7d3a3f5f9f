"""What a check found, and the table of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    status: Status
    """How it is."""
    what: str
    """What was examined."""
    detail: str
    """What was found, and what to do if it is not well."""


def lines(findings: Iterable[Finding]) -> list[str]:
    """The report as aligned lines."""
    rows = list(findings)
    width = max((len(row.what) for row in rows), default=0)
    return [f"{row.status:<4}  {row.what:<{width}}  {row.detail}" for row in rows]


def verdict(findings: Sequence[Finding]) -> str:
    """One line that counts."""
    count = dict.fromkeys(("ok", "warn", "fail"), 0)
    for finding in findings:
        count[finding.status] += 1
    return f"{count['ok']} ok, {count['warn']} to look at, {count['fail']} blocking"
