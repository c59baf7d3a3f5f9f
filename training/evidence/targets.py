"""What was to be reached, and whether it was."""

from itertools import combinations_with_replacement

from training.evidence.figures import Figure, each_seed, figure
from training.evidence.methods import MAIN, UNTRAINED
from training.evidence.results import Results
from training.evidence.tables import table

# Tokens of the large model, accuracy.
Point = tuple[float, float]


def targets_table(results: Results) -> str:
    """Every target whose runs are there."""
    rows = []
    original, alone = figure(results, "original"), figure(results, "alone")
    for name in _ours():
        if (one := figure(results, name)) and original:
            rows.append(_shorter(name, one, original))
        if one and alone:
            rows.append(_better_than_alone(name, one, alone))
        rows += _on_frontier(results, name)
    collapse, duet = figure(results, "neither"), figure(results, "duet")
    if collapse and duet:
        rows.append(
            [
                "no marginal utility and constant lambda collapse",
                f"{collapse.accuracy:.3f} at {collapse.tokens:.1f} tokens",
                _word(collapse.accuracy < duet.accuracy - 0.2),
            ]
        )
    for base, fixed in (("duet", "decoder-fixed"), ("weak", "weak-fixed")):
        joint, still = figure(results, base), figure(results, fixed)
        if joint and still:
            rows.append(_joint_pays(base, joint, still))
    return table(["to reach", "measured", "met"], rows)


def _ours() -> list[str]:
    return [name for name, method in MAIN.items() if method.method == "duet"]


def _shorter(name: str, one: Figure, original: Figure) -> list[str]:
    share, lost = one.tokens / original.tokens, original.accuracy - one.accuracy
    return [
        f"{name}: at most 0.40 of original's tokens, at most 2 points less accurate",
        f"{share:.2f} of the tokens, {100 * lost:+.1f} points lost",
        _word(share <= 0.40 and lost <= 0.02),
    ]


def _better_than_alone(name: str, one: Figure, alone: Figure) -> list[str]:
    return [
        f"{name}: small model alone at most half as accurate as the pair",
        f"{alone.accuracy:.3f} against {one.accuracy:.3f}",
        _word(alone.accuracy <= one.accuracy / 2),
    ]


def _joint_pays(base: str, joint: Figure, still: Figure) -> list[str]:
    return [
        f"{base}: joint training at least as good as a fixed decoder",
        f"{joint.accuracy:.3f} at {joint.tokens:.1f} tokens against "
        f"{still.accuracy:.3f} at {still.tokens:.1f}",
        _word(joint.accuracy >= still.accuracy),
    ]


def _on_frontier(results: Results, name: str) -> list[list[str]]:
    seeds = _points(results, name)
    others = [other for other in (*UNTRAINED, *MAIN) if other not in (*_ours(), "start-split")]
    peers = [point for other in others for point in _points(results, other)]
    if not seeds or len(peers) < 2:
        return []
    above = [accuracy - frontier(peers, tokens) for tokens, accuracy in seeds]
    told = ", ".join(f"{100 * points:+.1f}" for points in above)
    text = f"{name}: on or above the accuracy-token frontier of all baselines, every seed"
    return [[text, f"{told} points, by seed", _word(min(above) >= 0)]]


def _points(results: Results, name: str) -> list[Point]:
    return [(one["reasoner_tokens"], one["accuracy"]) for one in each_seed(results, name)]


def frontier(points: list[Point], tokens: float) -> float:
    """The best accuracy that `points` give for so many tokens in the mean.

    Two methods can share the questions, so a line between two points is reached as well; fewer
    tokens than allowed are. 0 where every point needs more.
    """
    best = 0.0
    for (few, low), (many, high) in combinations_with_replacement(sorted(points), 2):
        if few <= tokens < many:
            best = max(best, low + (tokens - few) / (many - few) * (high - low))
        if few <= tokens:
            best = max(best, low)
        if many <= tokens:
            best = max(best, high)
    return best


def _word(met: bool) -> str:
    return "yes" if met else "no"
