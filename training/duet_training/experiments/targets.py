"""The targets, and whether the results meet them."""

from collections.abc import Iterator
from itertools import combinations_with_replacement

from duet_report.intervals import Interval
from duet_report.numbers import points
from duet_report.tables import markdown
from duet_training.experiments.figures import each_seed, figure, paired
from duet_training.experiments.methods import COMPARED, OTHERS, UNTRAINED, untrained_of
from duet_training.experiments.results import Results

# Tokens of the large model, accuracy.
Point = tuple[float, float]
# The target, what was measured, whether it is met.
Row = tuple[str, str, str]
HOW = {"easy": "sampled", "greedy": "greedy"}
# Accuracy by which joint training is clearly better, beyond one evaluation's interval.
CLEARLY = 0.05
# A joint run, the same run with a fixed decoder, and the required difference in accuracy.
FIXED_OF = (
    ("duet", "decoder-fixed", 0.0),
    ("weak", "weak-fixed", CLEARLY),
    ("second-duet", "second-fixed", 0.0),
)
# What the paper's method is compared with: neither it, nor its untrained start.
BASELINES = (
    *(name for name, method in COMPARED.items() if method.method != "duet"),
    *(name for name in UNTRAINED if name != "start-split"),
    *(name for name in OTHERS if not name.endswith("-split")),
)


def targets_table(results: Results) -> str:
    """List every target whose runs are available."""
    rows: list[Row] = []
    for name, method in COMPARED.items():
        if method.method == "duet":
            rows += _of_method(results, name)
    # It has one seed: what it differs from is the same one.
    collapse, duet = figure(results, "neither-0"), figure(results, "duet-0")
    if collapse and duet:
        told = f"{collapse.accuracy:.3f} at {collapse.tokens:.1f} tokens, duet "
        told += f"{duet.accuracy:.3f} at {duet.tokens:.1f}"
        text = "no marginal utility and constant lambda collapse (or why not: below)"
        rows.append((text, told, _word(collapse.accuracy < duet.accuracy - 0.2)))
    for joint, fixed, more in FIXED_OF:
        rows += _joint_pays(results, joint, fixed, more)
    return markdown(["to reach", "measured", "met"], rows)


def _of_method(results: Results, name: str) -> Iterator[Row]:
    """Compare a method with its start: tokens and accuracy, the small model alone, all baselines."""
    started, small = untrained_of(name)
    for data, how in HOW.items():
        one, original = (figure(results, each, data) for each in (name, started))
        if one and original:
            text = (
                f"{name}, {how}: at most 0.40 of {started}'s tokens, at most 2 points less accurate"
            )
            share, fewer = one.tokens / original.tokens, one.tokens <= 0.40 * original.tokens
            # Judged by the interval of the difference, if results have scores per question.
            if more := paired(results, name, started, data):
                told, met = points(more), _judged(more, -0.02) if fewer else _word(False)
            else:
                lost = one.accuracy - original.accuracy
                told = f"{100 * lost:+.1f} points, no interval of the difference"
                met = _word(fewer and lost >= -0.02)
            yield text, f"{share:.2f} of the tokens, {told}", met
    pair, alone = figure(results, name), figure(results, small)
    if pair and alone:
        text = f"{name}: small model alone at most half as accurate as the pair"
        told = f"{alone.accuracy:.3f} against {pair.accuracy:.3f}"
        yield text, told, _word(alone.accuracy <= pair.accuracy / 2)
    seeds = points_of(results, name)
    peers = [point for other in BASELINES for point in points_of(results, other)]
    if seeds and len(peers) > 1:
        above = [accuracy - frontier(peers, tokens) for tokens, accuracy in seeds]
        text = f"{name}: on or above the accuracy-token frontier of all baselines, every seed"
        told = ", ".join(f"{100 * each:+.1f}" for each in above)
        yield text, f"{told} points, by seed", _word(min(above) >= 0)


def _joint_pays(results: Results, joint: str, fixed: str, least: float) -> Iterator[Row]:
    """Compare the seeds that both runs have, question by question."""
    for data, how in HOW.items():
        ours, theirs = (figure(results, each, data) for each in (joint, fixed))
        more = paired(results, joint, fixed, data)
        if ours and theirs and more:
            wanted = f"better by {100 * least:.0f} points than" if least else "at least as good as"
            told = f"{points(more)}, at {ours.tokens:.1f} tokens against {theirs.tokens:.1f}"
            text = f"{joint}, {how}: training both {wanted} a fixed decoder"
            yield text, told, _judged(more, least)


def _judged(more: Interval, least: float) -> str:
    """Judge by its interval whether a difference is at least `least`."""
    return "not decided" if more.low < least <= more.high else _word(more.low >= least)


def points_of(results: Results, name: str) -> list[Point]:
    """Return each seed's (tokens, accuracy) on held-out questions."""
    return [(one["reasoner_tokens"], one["accuracy"]) for one in each_seed(results, name)]


def frontier(reached: list[Point], tokens: float) -> float:
    """Return the best accuracy that the points `reached` allow at a mean number of tokens.

    Two methods can share the questions, so every point on the line between two points is reachable,
    and so is a point with fewer tokens. The result is 0 if every point needs more tokens.
    """
    best = 0.0
    for (few, low), (many, high) in combinations_with_replacement(sorted(reached), 2):
        if few <= tokens < many:
            best = max(best, low + (tokens - few) / (many - few) * (high - low))
        if few <= tokens:
            best = max(best, low)
        if many <= tokens:
            best = max(best, high)
    return best


def _word(met: bool) -> str:
    return "yes" if met else "no"
