"""The report's plots, in the shapes of the paper's figures, from results alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from duet_training.experiments.canvas import (
    COLOURS,
    GREY,
    MARKS,
    legend,
    line,
    named,
    panels,
    save,
    shared_legend,
    style,
)
from duet_training.experiments.curves import ACCURACY, LENGTH, PRICE, Band, Metrics, band, curve
from duet_training.experiments.methods import ABLATIONS, BUDGET, COMPARED, MAIN, OTHERS, UNTRAINED
from duet_training.experiments.results import Results
from duet_training.experiments.targets import BASELINES, frontier, points_of

STEP = "training step"
TOKENS = "response length (tokens)"
SHARE = "accuracy (share right)"

# Ablations that are read together; those of no group come last.
GROUPS: dict[str, tuple[str, ...]] = {
    "marginal utility": ("no-utility", "shared-utility"),
    "collapse": ("neither", "neither-no-kl"),
    "collapse, longer": ("neither-no-kl-12", "budget-12-long"),
    "price": ("constant-0.25", "constant-0.5", "constant-1", "no-clip"),
    "budget": ("budget-12", "budget-48"),
    "decoder": ("decoder-fixed", "weak", "weak-fixed"),
    "advantages": ("undivided", "on-success"),
}


def write_plots(results: Results, seeds: Sequence[int], directory: Path) -> list[tuple[str, str]]:
    """Draws what there is to draw; file name and caption of each plot that was written.

    A plot of before that has nothing to show any more is removed.
    """
    drawn: list[tuple[str, str]] = []
    plots: list[tuple[str, str, Callable[[], Figure | None]]] = [
        ("accuracy-tokens.svg", _ACCURACY_TOKENS, lambda: accuracy_against_tokens(results)),
        ("length.svg", _LENGTH, lambda: lengths(results, seeds)),
        ("price-accuracy.svg", _PRICE_ACCURACY, lambda: price_and_accuracy(results, seeds)),
        ("ablations.svg", _ABLATIONS, lambda: ablations(results, seeds)),
    ]
    with style():
        for name, caption, draw in plots:
            figure = draw()
            if figure is None:
                (directory / name).unlink(missing_ok=True)
                continue
            directory.mkdir(parents=True, exist_ok=True)
            save(figure, directory / name)
            drawn.append((name, caption))
    return drawn


_ACCURACY_TOKENS = (
    "Accuracy on held-out questions against tokens of the large model, a point for each seed "
    "(the paper's Figure 4). Line: the most that the baselines reach, two of them mixed included."
)
_LENGTH = (
    "Response length by training step: mean over seeds, band from the least to the most. Methods "
    "without a split have the answer in it."
)
_PRICE_ACCURACY = (
    "Lambda and accuracy by training step: mean over seeds, band from the least to the most. "
    "Methods without a price have no lambda; every step asks other questions. What ThinkPrune cuts "
    "at its limit is wrong."
)
_ABLATIONS = (
    "Ablations by training step, one seed each, beside DUET of the same seed (grey): response "
    "length and accuracy. `unsolved` is asked harder questions than DUET."
)


def accuracy_against_tokens(results: Results) -> Figure | None:
    """Every method's seeds as points, and the baselines' frontier; None if nothing is done."""
    points = {name: points_of(results, name) for name in (*COMPARED, *UNTRAINED, *OTHERS)}
    if not any(points.values()):
        return None
    figure, [[axes]] = panels(1, 1, (7.5, 4.2))
    for index, (name, found) in enumerate(points.items()):
        if found:
            look: dict[str, Any] = {"color": GREY, "markerfacecolor": "none"}
            if name in COMPARED:
                look = {"color": _colour(name), "alpha": 0.8}
            tokens, accuracies = zip(*found, strict=True)
            label, mark = _label(name, len(found)), MARKS[index % len(MARKS)]
            axes.plot(tokens, accuracies, mark, label=label, **look)
    peers = [point for name in BASELINES for point in points[name]]
    if len(peers) > 1:
        # It is straight between two baselines, and level after the last.
        right = axes.get_xlim()[1]
        at = sorted({tokens for tokens, _ in peers} | {right})
        best = [frontier(peers, tokens) for tokens in at]
        look = {"color": "0.6", "linewidth": 1, "zorder": 1}
        axes.plot(at, best, "--", label="frontier of the baselines", **look)
        axes.set_xlim(right=right)
    named(axes, "tokens of the large model per question (mean)", SHARE)
    legend(axes)
    return figure


def lengths(results: Results, seeds: Sequence[int]) -> Figure | None:
    """Every trained method's response length, and B; None if no run is done."""
    figure, [[axes]] = panels(1, 1, (7.5, 3.6))
    drawn = [name for name in MAIN if _draw_band(axes, results, name, seeds, LENGTH)]
    if not drawn:
        return None
    _budget(axes)
    axes.set_ylim(bottom=0)
    named(axes, STEP, TOKENS)
    legend(axes)
    return figure


def price_and_accuracy(results: Results, seeds: Sequence[int]) -> Figure | None:
    """Lambda of all that have one, then each method's accuracy; None if no run is done."""
    priced = [name for name in MAIN if _band(results, name, seeds, PRICE)]
    scored = [name for name in MAIN if _band(results, name, seeds, ACCURACY)]
    # A panel for each accuracy: a few questions a step are too much noise for one of all.
    shown: list[tuple[Metrics, list[str]]] = [(PRICE, priced)] if priced else []
    shown += [(ACCURACY, [name]) for name in scored]
    if not shown:
        return None
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, grid = panels(rows, columns, (9, 2.6 * rows), sharex=True)
    places = [axes for row in grid for axes in row]
    for axes, (metrics, names) in zip(places, shown, strict=False):
        for name in names:
            _draw_band(axes, results, name, seeds, metrics)
        y = "price lambda (no unit)" if metrics == PRICE else SHARE
        named(axes, STEP, y, "lambda" if metrics == PRICE else f"accuracy: {names[0]}")
        axes.set_ylim(0, None if metrics == PRICE else 1.02)
        axes.xaxis.set_tick_params(labelbottom=True)
    for unused in places[len(shown) :]:
        unused.remove()
    shared_legend(figure)
    return figure


def ablations(results: Results, seeds: Sequence[int]) -> Figure | None:
    """Lengths and accuracies, a row for each group that has a run; None if no ablation is done."""
    seed = min(seeds, default=0)
    grouped = {name for group in GROUPS.values() for name in group}
    others = tuple(name for name in ABLATIONS if name not in grouped)
    groups = [
        (title, done)
        for title, names in {**GROUPS, "others": others}.items()
        if (done := [name for name in names if curve(results, f"{name}-{seed}", LENGTH)])
    ]
    if not groups:
        return None
    # Each row its own steps: some runs are longer.
    figure, rows = panels(len(groups), 2, (9, 2 * len(groups) + 0.3))
    for (left, right), (title, names) in zip(rows, groups, strict=True):
        for axes, metrics in ((left, LENGTH), (right, ACCURACY)):
            for index, name in enumerate(["duet", *names]):
                found = curve(results, f"{name}-{seed}", metrics)
                look = {"color": COLOURS[(index - 1) % len(COLOURS)] if index else "0.7"}
                if found:
                    line(axes, [*found], [*found.values()], label=name, **look)
        step = STEP if title == groups[-1][0] else ""
        named(left, step, TOKENS, title)
        named(right, step, SHARE)
        left.set_ylim(bottom=0)
        right.set_ylim(0, 1.02)
        legend(right, left)
    return figure


def _colour(name: str) -> str:
    return COLOURS[list(COMPARED).index(name) % len(COLOURS)]


def _label(name: str, seeds: int) -> str:
    return f"{name} ({seeds} seeds)" if seeds > 1 else name


def _band(results: Results, name: str, seeds: Sequence[int], metrics: Metrics) -> Band | None:
    """What there is to draw; trainers without a price record one of 0 at every step."""
    found = band(results, name, seeds, metrics)
    return found if found and (metrics != PRICE or any(found.most)) else None


def _draw_band(
    axes: Any, results: Results, name: str, seeds: Sequence[int], metrics: Metrics
) -> bool:
    """Whether there was anything to draw."""
    found = _band(results, name, seeds, metrics)
    if found is None:
        return False
    colour = _colour(name)
    line(axes, found.steps, found.mean, label=_label(name, found.seeds), color=colour)
    if found.seeds > 1:
        look = {"color": colour, "alpha": 0.15, "linewidth": 0}
        axes.fill_between(found.steps, found.least, found.most, **look)
    return True


def _budget(axes: Any) -> None:
    look = {"color": GREY, "linewidth": 1, "linestyle": "--"}
    axes.axhline(BUDGET, label=f"B = {BUDGET} tokens", **look)
