"""The report's plots, in the shapes of the paper's figures, from results alone."""

from collections.abc import Iterable, Sequence

from duet_report.plots import Panel, Plot, PlotSeries
from duet_training.evaluation.report.curves import Band, band_of
from duet_training.experiments.methods import ABLATIONS, BUDGET, COMPARED, MAIN, OTHERS, UNTRAINED
from duet_training.experiments.results import ACCURACY, LAMBDA, LENGTH, Metrics, Results
from duet_training.experiments.targets import BASELINES, frontier, points_of

STEP = "training step"
TOKENS = "response length (tokens)"
SHARE = "accuracy (share right)"

# Ablations that are read together; those of no group come last.
GROUPS: dict[str, tuple[str, ...]] = {
    "marginal utility": ("no-utility", "shared-utility"),
    "collapse": ("neither", "neither-no-kl"),
    "collapse, longer": ("neither-no-kl-12", "budget-12-long"),
    "length penalty": ("constant-0.25", "constant-0.5", "constant-1", "no-clip"),
    "budget": ("budget-12", "budget-48"),
    "decoder": ("decoder-fixed", "weak", "weak-fixed"),
    "advantages": ("undivided", "on-success"),
}


def plots(results: Results, seeds: Sequence[int]) -> list[Plot]:
    """Describe all plots; panels of what is not done have no points."""
    return [
        accuracy_against_tokens(results),
        lengths(results, seeds),
        lambda_and_accuracy(results, seeds),
        ablations(results, seeds),
    ]


def accuracy_against_tokens(results: Results) -> Plot:
    """Show every method's seeds as points, and the baselines' frontier."""
    points = {name: points_of(results, name) for name in (*COMPARED, *UNTRAINED, *OTHERS)}
    series = []
    for number, (name, found) in enumerate(points.items()):
        if found:
            tokens, accuracies = zip(*found, strict=True)
            colour = _colour(name) if name in COMPARED else None
            label = _label(name, len(found))
            series.append(PlotSeries(label, tokens, accuracies, colour, marker=number))
    peers = [point for name in BASELINES for point in points[name]]
    if len(peers) > 1:
        # It is straight between two baselines, and level after the last.
        right = max(tokens for found in points.values() for tokens, _ in found)
        at = sorted({tokens for tokens, _ in peers} | {right})
        best = [frontier(peers, tokens) for tokens in at]
        series.append(PlotSeries("frontier of the baselines", at, best, look="limit"))
    return Plot(
        "accuracy-tokens",
        "Accuracy against tokens",
        "Accuracy on held-out questions against tokens of the large model, a point for each seed "
        "(the paper's Figure 4). Line: the most that the baselines reach, two of them mixed "
        "included.",
        [Panel("tokens of the large model per question (mean)", SHARE, series)],
        size=(8.5, 5.5),
    )


def lengths(results: Results, seeds: Sequence[int]) -> Plot:
    """Show every trained method's response length, and B."""
    series = _bands(results, MAIN, seeds, LENGTH)
    last = max((step for each in series for step in each.x), default=1)
    limit = PlotSeries(f"B = {BUDGET} tokens", [1, last], [BUDGET, BUDGET], look="limit")
    return Plot(
        "length",
        "Response length",
        "Response length by training step: mean over seeds, band from the least to the most. "
        "Methods without a split have the answer in it.",
        [Panel(STEP, TOKENS, [*series, limit], y_range=(0, None))],
        size=(8.5, 4.2),
    )


def lambda_and_accuracy(results: Results, seeds: Sequence[int]) -> Plot:
    """Show lambda of all that have one, then each method's accuracy."""
    # Trainers without a length penalty record one of 0 at every step.
    lambdas = [each for each in _bands(results, MAIN, seeds, LAMBDA) if any(each.high or each.y)]
    # A panel for each accuracy: a few questions a step are too much noise for one of all.
    panels = [Panel(STEP, "lambda (no unit)", lambdas, title="lambda", y_range=(0, None))]
    panels += [
        Panel(STEP, SHARE, found, title=f"accuracy: {name}", y_range=(0, 1.02))
        for name in MAIN
        if (found := _bands(results, [name], seeds, ACCURACY))
    ]
    return Plot(
        "lambda-accuracy",
        "Lambda and accuracy",
        "Lambda and accuracy by training step: mean over seeds, band from the least to the most. "
        "Methods without a length penalty have no lambda; every step asks other questions. What ThinkPrune "
        "cuts at its limit is wrong.",
        panels,
        columns=3,
        size=(3.4, 2.9),
    )


def ablations(results: Results, seeds: Sequence[int]) -> Plot:
    """Show lengths and accuracies, a row for each group that has a run."""
    seed = min(seeds, default=0)
    grouped = {name for group in GROUPS.values() for name in group}
    others = tuple(name for name in ABLATIONS if name not in grouped)
    panels = []
    for title, names in {**GROUPS, "others": others}.items():
        done = [name for name in names if results.curve(f"{name}-{seed}", LENGTH)]
        if done:
            left, right = (
                [
                    PlotSeries(
                        name, [*found], [*found.values()], number and number - 1, look="line"
                    )
                    for number, name in zip((None, *range(1, 99)), ["duet", *done], strict=False)
                    if (found := results.curve(f"{name}-{seed}", metrics)) or metrics == ACCURACY
                ]
                for metrics in (LENGTH, ACCURACY)
            )
            panels += [
                Panel(STEP, TOKENS, left, title=title, y_range=(0, None)),
                Panel(STEP, SHARE, right, y_range=(0, 1.02)),
            ]
    return Plot(
        "ablations",
        "Ablations",
        "Ablations by training step, one seed each, next to DUET of the same seed (grey): response "
        "length and accuracy. `unsolved` is asked harder questions than DUET.",
        panels,
        columns=2,
        size=(4.6, 2.5),
        legends="each",
    )


def band(results: Results, method: str, seeds: Sequence[int], metrics: Metrics) -> Band | None:
    """Join a method's runs over those seeds that are done; None if none is."""
    found = (results.curve(f"{method}-{seed}", metrics) for seed in seeds)
    return band_of([one for one in found if one])


def _bands(
    results: Results, names: Iterable[str], seeds: Sequence[int], of: Metrics
) -> list[PlotSeries]:
    found = {name: band(results, name, seeds, of) for name in names}
    return [_series(name, each) for name, each in found.items() if each]


def _series(name: str, band: Band) -> PlotSeries:
    low, high = (band.least, band.most) if band.seeds > 1 else (None, None)
    label = _label(name, band.seeds)
    return PlotSeries(label, band.steps, band.mean, _colour(name), low=low, high=high, look="line")


def _colour(name: str) -> int:
    return list(COMPARED).index(name)


def _label(name: str, seeds: int) -> str:
    return f"{name} ({seeds} seeds)" if seeds > 1 else name
