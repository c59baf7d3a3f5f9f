"""The table of what signals carry; a row without a result says "not run"."""

from collections.abc import Mapping
from typing import Any

from duet_report.tables import markdown
from duet_training.evaluation.report.tables import NOT_RUN
from duet_training.evaluation.signal_content import PLACEBO, SENTINELS, SHARES


def content_table(found: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Write a row for each run's or pair's part `signal` of `duet-train evaluate method=signal`."""
    shares = [f"{share:.0%}" for share in SHARES]
    names = [*shares[::-1], *SENTINELS, PLACEBO]
    rows = []
    for name, one in found.items():
        if one is None:
            rows.append([name, NOT_RUN, *[""] * (len(names) + 2)])
            continue
        rates = [_percent(one["stated"]), _percent(one["stated_of_right"])]
        cells = [_percent(one["decoder"][each]["accuracy"]) for each in names]
        other = one["untouched"]
        rows.append([name, *rates, *cells, _percent(other and other[shares[-1]]["accuracy"])])
    head = ["", "states the answer", "of right answers", *(f"{each} read" for each in shares[::-1])]
    head += [f"answer: {each}" for each in SENTINELS]
    return markdown([*head, "placebo removed", "untouched decoder, 100%"], rows)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
