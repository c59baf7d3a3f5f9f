"""What follows from a run, in words: where the split is sooner, cheaper, smaller, as accurate."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from duet_contract.manifest import Evaluation
from duet_tools.report.low_confidence import in_words
from duet_tools.report.rows import short
from duet_tools.report.statistics import difference_of_means
from duet_tools.results.report import CellReport, Metric

_FEWEST = 5


def statements(
    cells: Sequence[CellReport],
    machine_is_shared: bool,
    evaluations: Sequence[Evaluation] = (),
) -> list[str]:
    """Statements about the split against its peers over the same links under the same load.

    Latency is told for each load, link by link; what neither changes, such as tokens, once. Last,
    what the device marked as low in confidence, peers or not.
    `evaluations`: of the pair, which say what its large model spent before it was trained.
    """
    found: list[str] = []
    alone = next((each for each in cells if each.cell.mode == "device-alone"), None)
    told: set[int | None] = set()
    for group in _groups(cells):
        first = group[0]
        pairs = [
            (split, large)
            for split in group
            if (large := _peer(cells, split)) and large.answered >= _FEWEST
        ]
        if pairs:
            found += _against_large(pairs, alike_told=first.cell.budget in told)
            found += _against_untrained(pairs, evaluations)
        if alone and alone.answered >= _FEWEST and first.cell.live:
            found += _against_device(group, alone)
        told.add(first.cell.budget)
    if found and machine_is_shared:
        found.append(
            "Cloud and device shared one machine: on separate ones neither slows the other down."
        )
    return [*found, *in_words([cell for cell in cells if cell.answered >= _FEWEST])]


def _groups(cells: Sequence[CellReport]) -> list[list[CellReport]]:
    """The split's cells of each budget and load, a cell a link."""
    groups: dict[tuple[int | None, str], list[CellReport]] = {}
    for cell in cells:
        if cell.cell.mode == "duet" and cell.answered >= _FEWEST:
            groups.setdefault((cell.cell.budget, cell.cell.load), []).append(cell)
    return list(groups.values())


def _peer(cells: Sequence[CellReport], split: CellReport) -> CellReport | None:
    wanted = ("large-alone", split.cell.link, split.cell.load)
    return next((c for c in cells if (c.cell.mode, c.cell.link, c.cell.load) == wanted), None)


def tokens_to_break_even(split: CellReport, large: CellReport) -> tuple[float, float] | None:
    """Tokens of the large model alone above which the split's median is sooner; and ms a token.

    The large model's latency is fitted as a line over its tokens. Where all of its answers were
    cut at the same limit there is none to fit, and its time per output token is the slope.
    None where neither is there.
    """
    tokens, total = _both(large, "large_tokens"), _both(large, "total_ms")
    usable = ~(np.isnan(tokens) | np.isnan(total))
    if usable.sum() < _FEWEST:
        return None
    slope = base = 0.0
    if np.ptp(tokens[usable]) > 0:
        slope, base = map(float, np.polyfit(tokens[usable], total[usable], 1))
    if slope <= 0 and "cloud_step_ms" in large.metrics:
        slope = large.metrics["cloud_step_ms"].p50
        base = float(np.median(total[usable] - slope * tokens[usable]))
    if slope <= 0:
        return None
    return max(0.0, (split.metrics["total_ms"].p50 - base) / slope), slope


def _against_large(
    pairs: Sequence[tuple[CellReport, CellReport]], *, alike_told: bool
) -> Iterator[str]:
    split, large = pairs[0]
    where = _where(split)
    yield f"{where}, {_sooner_or_later(pairs)}"
    if told := _break_even(pairs):
        yield f"{where}, {told}"
    if not alike_told:
        saved = 1 - _mean(split, "large_tokens") / max(_mean(large, "large_tokens"), 1e-9)
        yield (
            f"{where}, the split spends {_share(saved)} tokens of the large model than that alone, "
            f"and brings {_size(_mean(split, 'wire_down'))} a question down the link against "
            f"{_size(_mean(large, 'wire_down'))}."
        )
        if split.accuracy and large.accuracy:
            yield f"{where}, {_accuracy(split, large, 'the large model alone')}"
    if split.cost_per_correct is not None and large.cost_per_correct is not None:
        cheaper = "cheaper" if split.cost_per_correct < large.cost_per_correct else "dearer"
        yield (
            f"{where}, a correct answer of the split costs {split.cost_per_correct:.3g} "
            f"{_on(split)} against {large.cost_per_correct:.3g}: the split is {cheaper} at these "
            "prices."
        )


def _sooner_or_later(pairs: Sequence[tuple[CellReport, CellReport]]) -> str:
    """Medians link by link, and what connecting has to do with those where the split is later."""
    told = []
    for word in ("sooner", "later"):
        times = [
            f"{_on(mine)} ({_median_s(mine)} s against {_median_s(theirs)} s)"
            for mine, theirs in pairs
            if (_median_ms(mine) < _median_ms(theirs)) == (word == "sooner")
        ]
        if times:
            told.append(f"{word} {_list(times)}")
    text = f"the split answers {' and '.join(told)} than the large model alone."
    for mine, theirs in pairs:
        connects = [cell.metrics.get("connect_ms") for cell in (mine, theirs)]
        if connects[0] and connects[1]:
            longer = connects[0].p50 - connects[1].p50
            behind = _median_ms(mine) - _median_ms(theirs)
            if 0 < behind <= longer:
                return (
                    f"{text} Connecting is what makes it later, as {_on(mine)}: it takes "
                    f"{short(connects[0].p50 / 1e3)} s against {short(connects[1].p50 / 1e3)} s, "
                    "since a new gRPC connection waits for the server's settings, a round trip "
                    "more than HTTP/1.1."
                )
    return text


def _break_even(pairs: Sequence[tuple[CellReport, CellReport]]) -> str:
    """From how many tokens of the large model alone on the split is sooner; empty if unknown."""
    parts, counts = [], []
    for mine, theirs in pairs:
        if even := tokens_to_break_even(mine, theirs):
            far = " (by extrapolation)" if even[0] > _longest(theirs) else ""
            parts.append(f"{even[0]:.0f} tokens {_on(mine)}{far}")
            counts.append(theirs.metrics["large_tokens"].p50)
    if not parts:
        return ""
    usual = f"{min(counts):.0f}" + (f" to {max(counts):.0f}" if max(counts) > min(counts) else "")
    return (
        "the split is the sooner one where the large model alone needs more than "
        f"{_list(parts)}. Here that needed {usual} in the median."
    )


def _longest(large: CellReport) -> float:
    """Tokens of the longest answer that was measured."""
    return float(np.nanmax(_both(large, "large_tokens")))


def _against_untrained(
    pairs: Sequence[tuple[CellReport, CellReport]], evaluations: Sequence[Evaluation]
) -> Iterator[str]:
    """The large model that is served learnt short signals; one would run it as it was before."""
    before = next((each for each in evaluations if each.reasoner_alone_tokens), None)
    evens = [
        (split, even) for split, large in pairs if (even := tokens_to_break_even(split, large))
    ]
    if not before or not before.reasoner_alone_tokens or not evens:
        return
    tokens = before.reasoner_alone_tokens
    sooner = [split for split, even in evens if even[0] < tokens]
    later = [split for split, even in evens if even[0] >= tokens]
    longest = max(_longest(large) for _, large in pairs)
    far = f", by extrapolation from at most {longest:.0f} tokens," if tokens > longest else ""
    right = before.reasoner_alone_accuracy
    yield (
        f"{_where(pairs[0][0])}, before its training for the split this pair's large model needed "
        f"{tokens:.0f} tokens alone"
        + (f", for {right:.0%} right" if right is not None else "")
        + f" ({before.data}, by the pair's manifest). At that length{far} the split is "
        + " and ".join(
            f"{word} {_on_all(cells, of=len(evens))}"
            for word, cells in (("sooner", sooner), ("later", later))
            if cells
        )
        + "."
    )


def _against_device(group: Sequence[CellReport], alone: CellReport) -> Iterator[str]:
    split = group[0]
    word = "sooner" if _median_ms(split) < _median_ms(alone) else "later"
    times = _list([f"{_median_s(each)} s {_on(each)}" for each in group])
    text = f"{_where(split)}, the split answers {word} than the device alone: {times}, against "
    text += f"{_median_s(alone)} s"
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


def _where(split: CellReport) -> str:
    budget = f", budget {split.cell.budget}" if split.cell.budget else ""
    return f"With {split.cell.load}{budget}"


def _on(cell: CellReport) -> str:
    return "without an emulated link" if cell.cell.link == "none" else f"on {cell.cell.link}"


def _on_all(cells: Sequence[CellReport], of: int) -> str:
    """On which of the links, of which there are so many."""
    return "on every link" if len(cells) == of > 1 else _list([_on(cell) for cell in cells])


def _median_ms(cell: CellReport) -> float:
    return cell.metrics["total_ms"].p50


def _median_s(cell: CellReport) -> str:
    return short(_median_ms(cell) / 1e3)


def _mean(cell: CellReport, metric: Metric) -> float:
    return cell.metrics[metric].mean


def _list(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def _share(saved: float) -> str:
    return f"{saved:.0%} fewer" if saved >= 0 else f"{-saved:.0%} more"


def _size(count: float) -> str:
    return f"{count / 1024:.1f} KiB" if count >= 1024 else f"{count:.0f} B"
