"""What follows from a run, in words: where the split is sooner, cheaper, smaller, as accurate."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tools.report.model import CellReport, LinkFacts
from tools.report.statistics import difference_of_means

_FEWEST = 5


def statements(
    cells: Sequence[CellReport], links: Sequence[LinkFacts], machine_is_shared: bool
) -> list[str]:
    """Statements about each cell of the split against its peers over the same link and load."""
    found: list[str] = []
    peers = {(each.cell.mode, each.cell.link, each.cell.load): each for each in cells}
    alone = next((each for each in cells if each.cell.mode == "device-alone"), None)
    names = {link.name: link for link in links}
    for split in cells:
        if split.cell.mode != "duet" or split.answered < _FEWEST:
            continue
        where = _where(split, names)
        large = peers.get(("large-alone", split.cell.link, split.cell.load))
        if large and large.answered >= _FEWEST:
            found += _against_large(split, large, where)
        if alone and alone.answered >= _FEWEST and split.cell.live:
            found += _against_device(split, alone, where)
    if found and machine_is_shared:
        found.append(
            "Cloud and device shared one machine: on separate ones neither slows the other down."
        )
    return found


def tokens_to_break_even(split: CellReport, large: CellReport) -> tuple[float, float] | None:
    """Tokens of the large model alone above which the split's median is sooner; and ms a token.

    The large model's latency is fitted as a line over its tokens. None where it has no slope.
    """
    tokens, total = _both(large, "large_tokens"), _both(large, "total_ms")
    usable = ~(np.isnan(tokens) | np.isnan(total))
    if usable.sum() < _FEWEST or np.ptp(tokens[usable]) == 0:
        return None
    slope, base = np.polyfit(tokens[usable], total[usable], 1)
    if slope <= 0:
        return None
    return max(0.0, float((split.metrics["total_ms"].p50 - base) / slope)), float(slope)


def _against_large(split: CellReport, large: CellReport, where: str) -> Iterator[str]:
    mine, theirs = split.metrics["total_ms"].p50 / 1e3, large.metrics["total_ms"].p50 / 1e3
    even = tokens_to_break_even(split, large)
    usual = large.metrics["large_tokens"].p50
    if even:
        need, step = even
        word = "sooner" if mine < theirs else "later"
        yield (
            f"{where}, the split is faster than the large model alone where that needs more than "
            f"{need:.0f} tokens ({step:.0f} ms each); it needed {usual:.0f} in the median here, so "
            f"the split was {word}: {mine:.1f} s against {theirs:.1f} s."
        )
    saved = 1 - split.metrics["large_tokens"].mean / max(large.metrics["large_tokens"].mean, 1e-9)
    down = split.metrics["wire_down"].mean, large.metrics["wire_down"].mean
    yield (
        f"{where}, the split spends {_share(saved)} tokens of the large model than that alone, "
        f"and brings {_size(down[0])} a question down the link against {_size(down[1])}."
    )
    if split.accuracy and large.accuracy:
        yield f"{where}, {_accuracy(split, large, 'the large model alone')}"
    if split.cost_per_correct is not None and large.cost_per_correct is not None:
        cheaper = "cheaper" if split.cost_per_correct < large.cost_per_correct else "dearer"
        yield (
            f"{where}, a correct answer of the split costs {split.cost_per_correct:.3g} against "
            f"{large.cost_per_correct:.3g}: the split is {cheaper} at these prices."
        )


def _against_device(split: CellReport, alone: CellReport, where: str) -> Iterator[str]:
    mine, theirs = split.metrics["total_ms"].p50 / 1e3, alone.metrics["total_ms"].p50 / 1e3
    word = "sooner" if mine < theirs else "later"
    text = f"{where}, the split answers {word} than the device alone: {mine:.1f} s, {theirs:.1f} s"
    if split.accuracy and alone.accuracy:
        text += f"; {_accuracy(split, alone, 'the device alone')[:-1]}"
    yield f"{text}."


def _accuracy(split: CellReport, peer: CellReport, name: str) -> str:
    assert split.accuracy
    assert peer.accuracy
    mine, theirs = _both(split, "correct"), _both(peer, "correct")
    both = ~(np.isnan(mine) | np.isnan(theirs))
    gap = difference_of_means(mine[both], theirs[both], paired=True)
    points = f"{100 * gap.value:+.0f} points, 95%: {100 * gap.low:+.0f} to {100 * gap.high:+.0f}"
    judged = "cannot be told apart" if gap.low <= 0 <= gap.high else "differ"
    return (
        f"accuracy is {split.accuracy.value:.0%} against {peer.accuracy.value:.0%} of {name} "
        f"({points}): on {int(both.sum())} questions they {judged}."
    )


def _both(cell: CellReport, metric: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    series: Callable[..., tuple[float | None, ...]] = cell.series.get
    values = series(metric, ())
    return np.array([np.nan if value is None else value for value in values], float)


def _where(split: CellReport, links: dict[str, LinkFacts]) -> str:
    link = links.get(split.cell.link)
    rtt = f" ({link.rtt_ms:g} ms)" if link and link.rtt_ms else ""
    budget = f", budget {split.cell.budget}" if split.cell.budget else ""
    name = "Without an emulated link" if split.cell.link == "none" else f"On {split.cell.link}"
    return f"{name}{rtt}, {split.cell.load}{budget}"


def _share(saved: float) -> str:
    return f"{saved:.0%} fewer" if saved >= 0 else f"{-saved:.0%} more"


def _size(count: float) -> str:
    return f"{count / 1024:.1f} KiB" if count >= 1024 else f"{count:.0f} B"
