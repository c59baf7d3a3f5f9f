"""The split against each alternative, a line each; and when the large model alone is slower."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from duet_report.intervals import Interval, difference_of_estimates, difference_of_means
from duet_report.numbers import points
from duet_tools.report.columns import mode, short
from duet_tools.results.conditions import ModeName
from duet_tools.results.report import ConditionReport, Report

ALTERNATIVES: dict[ModeName, str] = {
    "auto": "the calibrated policy",
    "large-alone": "the large model alone",
    "large-alone-service": "the large model alone, through the service",
    "truncated": "the large model, reasoning cut",
    "device-alone": "the device alone",
}
FEWEST = 5


def verdicts(report: Report) -> list[str]:
    """Return a line for each alternative: median time, tokens of the large model, accuracy.

    The split's most accurate budget represents it.
    """
    found = _groups(report.conditions)
    if not found:
        return []
    group = max(found, key=lambda conditions: _accuracy(conditions[0]))
    lines = []
    for name, words in ALTERNATIVES.items():
        pairs = [
            (measured, peer)
            for measured in group
            if (peer := peer_of(report.conditions, measured, name))
        ]
        if pairs:
            lines.append(f"{mode(group[0])} against {words}: {'; '.join(_parts(pairs))}.")
    return lines


def peer_of(
    conditions: Sequence[ConditionReport], split: ConditionReport, name: ModeName
) -> ConditionReport | None:
    """Return the condition of another mode that a condition of the split is compared with."""
    for measured in conditions:
        other, own = measured.condition, split.condition
        alike = (other.link, other.load) == (own.link, own.load)
        if other.mode != name or measured.answered < FEWEST:
            continue
        if name == "device-alone" or (alike and other.budget in (None, own.budget)):
            return measured
    return None


def accuracy_gap(split: ConditionReport, peer: ConditionReport) -> Interval | None:
    """Accuracy less the peer's: question by question where the values are there."""
    if stored := (split.accuracy_gaps or {}).get(peer.condition.mode):
        return stored
    mine, theirs = series(split, "correct"), series(peer, "correct")
    if len(mine) == len(theirs) and len(mine):
        both = ~(np.isnan(mine) | np.isnan(theirs))
        if both.any():
            return difference_of_means(mine[both], theirs[both], paired=True)
    if split.accuracy and peer.accuracy:
        return difference_of_estimates(split.accuracy, peer.accuracy)
    return None


def break_even_tokens(split: ConditionReport, large: ConditionReport) -> float | None:
    """Return tokens of the large model alone above which the split's median is smaller.

    The large model's latency is fitted as a line over its tokens; where all answers were cut at the
    same limit its time per token is the slope. None if neither is available.
    """
    tokens, total = series(large, "large_tokens"), series(large, "total_ms")
    if not len(tokens) or len(tokens) != len(total) or "total_ms" not in split.metrics:
        return None
    usable = ~(np.isnan(tokens) | np.isnan(total))
    if usable.sum() < FEWEST:
        return None
    slope = base = 0.0
    if np.ptp(tokens[usable]) > 0:
        slope, base = map(float, np.polyfit(tokens[usable], total[usable], 1))
    if slope <= 0 and "cloud_step_ms" in large.metrics:
        slope = large.metrics["cloud_step_ms"].p50
        base = float(np.median(total[usable] - slope * tokens[usable]))
    return max(0.0, (split.metrics["total_ms"].p50 - base) / slope) if slope > 0 else None


def break_even_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Head and rows: break-even tokens by link, a column for each budget and load."""
    found: dict[str, dict[str, str]] = {}
    links: dict[str, None] = {}
    for measured in report.conditions:
        if measured.break_even_tokens is not None:
            links.setdefault(measured.condition.link)
            column = found.setdefault(f"{mode(measured)}, {measured.condition.load}", {})
            column[measured.condition.link] = f"{measured.break_even_tokens:.0f}"
    rows = [[link, *(column.get(link, "") for column in found.values())] for link in links]
    return ["link", *found], rows


def break_even_note(report: Report) -> str:
    """Return the note on this pair below the table of break-even tokens."""
    large = [measured for measured in report.conditions if measured.condition.mode == "large-alone"]
    needed = [
        measured.metrics["large_tokens"].p50
        for measured in large
        if "large_tokens" in measured.metrics
    ]
    text = "The split answers sooner where the large model alone needs more tokens than this."
    if needed:
        text += f" Here it needed {max(needed):.0f} (median)."
    if report.untrained:
        right = report.untrained.accuracy
        text += (
            f" Before its training for the split it needed {report.untrained.tokens:.0f} on "
            f"{report.untrained.data}" + ("." if right is None else f" ({right:.0%} right).")
        )
    return text


def series(measured: ConditionReport, metric: str) -> NDArray[np.float64]:
    """Return a value for each question, NaN if missing; empty if they were not stored."""
    values: tuple[float | None, ...] = {str(k): v for k, v in measured.series.items()}.get(
        metric, ()
    )
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _groups(conditions: Sequence[ConditionReport]) -> list[list[ConditionReport]]:
    """Return the split's conditions of each budget and load, one for each link."""
    groups: dict[tuple[int | None, str], list[ConditionReport]] = {}
    for measured in conditions:
        if measured.condition.mode == "duet" and measured.answered >= FEWEST:
            groups.setdefault((measured.condition.budget, measured.condition.load), []).append(
                measured
            )
    return list(groups.values())


def _parts(pairs: Sequence[tuple[ConditionReport, ConditionReport]]) -> Iterator[str]:
    yield _speed(pairs)
    split, peer = pairs[0]
    mine, theirs = (measured.metrics["large_tokens"].mean for measured in pairs[0])
    if theirs:
        saved = 1 - mine / theirs
        yield f"{abs(saved):.0%} {'fewer' if saved >= 0 else 'more'} large tokens"
    else:
        yield f"{mine:.1f} large tokens instead of none"
    if gap := accuracy_gap(split, peer):
        unsure = ", not significant" if gap.low <= 0 <= gap.high else ""
        yield f"accuracy {points(gap)}{unsure}"


def _speed(pairs: Sequence[tuple[ConditionReport, ConditionReport]]) -> str:
    times = [[measured.metrics["total_ms"].p50 / 1e3 for measured in pair] for pair in pairs]
    ratios = [mine / theirs for mine, theirs in times]
    faster = sum(ratio < 1 for ratio in ratios)
    if len({theirs for _, theirs in times}) == 1:
        # One condition for all links: its time is worth more than ratios to it.
        mine = _range([mine for mine, _ in times], short)
        word = "faster" if faster == len(pairs) else "slower" if not faster else "partly faster"
        return f"{word}, median {mine} s against {short(times[0][1])} s"
    spread = _range(ratios, "{:.2f}x".format)
    return f"faster on {faster} of {len(pairs)} links ({spread} the time)"


def _range(values: Sequence[float], text: Callable[[float], str]) -> str:
    least, most = text(min(values)), text(max(values))
    return least if least == most else f"{least} to {most}"


def _accuracy(measured: ConditionReport) -> tuple[float, int]:
    return (measured.accuracy.value if measured.accuracy else 0.0, measured.condition.budget or 0)
