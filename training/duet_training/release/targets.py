"""The targets of released pairs, their measured figures, and whether they meet the targets."""

from typing import Any

from duet_report.intervals import Interval, difference_of_estimates
from duet_report.numbers import share
from duet_training.release.stage import PRIVATE_HELD_OUT, set_name

ACCURACY, POINTS, TOKENS, ALONE, GREEDY, SECONDS = 0.90, 0.02, 0.40, 0.50, 0.99, 0.50
WITH_GPU = 0.60
SETS = ("multiarith", "addsub", "singleeq", "svamp", "gsm8k_test")
MISSING = "not measured"

Row = tuple[str, str, str]


def target_rows(figures: dict[str, Any], kind: str) -> list[Row]:
    """Return rows of target, measured figures and verdict.

    `kind` is the quantization of the released decoder, such as Q8_0.
    """
    wide = figures["evaluations"].get("wide", {})
    before, split, alone = (wide.get(method) for method in ("original", "duet", "alone"))
    sets = figures["served"]["sets"] if figures["served"] else {}
    served, with_gpu = sets.get("wide"), sets.get("multiarith")
    parity, clock = figures["parity"], figures["wall_clock"]
    # Each target, with its figures and whether they meet it, if it was measured.
    found: dict[str, tuple[str, bool] | None] = {
        f"reasoner end to end, held-out problems: at least {ACCURACY:.0%} right": (
            before and _reasoner(before, served)
        ),
        f"split: at most {POINTS * 100:.0f} points fewer than the reasoner": (
            before and split and _split(before, split)
        ),
        f"split: at most {TOKENS:.2f} of the reasoner's tokens": (
            before and split and _tokens(before, split, served)
        ),
        "decoder by itself: at most half the split's accuracy": (
            alone and split and split["accuracy"] and _alone(alone, split)
        ),
        f"GGUF against the trained weights; at least {GREEDY:.0%} of greedy answers are equal": (
            parity and _greedy(parity, kind)
        ),
        f"end to end: at most {SECONDS:.2f} of the reasoner's seconds in vLLM": (
            clock and _seconds(clock)
        ),
        "real questions: reported, with a pair not trained for the split": _real(sets),
        f"`multiarith`, if a GPU trains the pair: at least {WITH_GPU:.0%}": with_gpu
        and (
            f"{percent(with_gpu['split'])}, trained on a CPU; not measured with a GPU",
            with_gpu["split"]["accuracy"] >= WITH_GPU,
        ),
    }
    return [
        (words, measured[0], verdict(measured[1])) if measured else (words, MISSING, "")
        for words, measured in found.items()
    ]


def verdict(met: bool) -> str:
    """Say in one word whether the point estimate meets a target."""
    return "met" if met else "missed"


def percent(found: dict[str, Any]) -> str:
    """Format an accuracy with its 95% interval."""
    return share(_accuracy(found), 1)


def _accuracy(found: dict[str, Any]) -> Interval:
    low, high = found["accuracy_95"]
    return Interval(value=found["accuracy"], low=low, high=high)


def _reasoner(before: dict[str, Any], served: dict[str, Any] | None) -> tuple[str, bool]:
    text = f"{percent(before)} before joint training"
    if served:
        text += f"; the released one, as served, {percent(served['reasoner'])}"
    return text, before["accuracy"] >= ACCURACY


def _split(before: dict[str, Any], split: dict[str, Any]) -> tuple[str, bool]:
    lost = difference_of_estimates(_accuracy(before), _accuracy(split))
    value, low, high = (100 * each for each in (lost.value, lost.low, lost.high))
    text = (
        f"{abs(value):.1f} points {'fewer' if value >= 0 else 'more'} ({low:.1f} to {high:.1f} "
        f"fewer, as of independent samples): {percent(split)}"
    )
    return text, round(lost.value, 6) <= POINTS


def _tokens(
    before: dict[str, Any], split: dict[str, Any], served: dict[str, Any] | None
) -> tuple[str, bool]:
    spent, of = split["reasoner_tokens"], before["reasoner_tokens"]
    text = f"{spent / of:.2f} ({spent:.1f} of {of:.1f})"
    if served:
        own, its = served["split"]["large_tokens"], served["reasoner"]["large_tokens"]
        text += (
            f"; of the released reasoner's own, as served, {own / its:.2f} ({own:.1f} of {its:.1f})"
        )
    return text, spent / of <= TOKENS


def _alone(alone: dict[str, Any], split: dict[str, Any]) -> tuple[str, bool]:
    share = alone["accuracy"] / split["accuracy"]
    return f"{share:.2f} of it: {percent(alone)}", share <= ALONE


def _greedy(parity: dict[str, Any], kind: str) -> tuple[str, bool]:
    row = parity["decoder"][kind]
    text = (
        f"{row['greedy_agreement']:.1%} of {parity['questions']} for {kind}, mean KL "
        f"{row['mean_kl']:.2g} nats a token"
    )
    return text, row["greedy_agreement"] >= GREEDY


def _seconds(clock: dict[str, Any]) -> tuple[str, bool]:
    share = clock["share_of_seconds"]
    text = (
        f"{share['median']:.2f} (minimum {share['least']:.2f}, maximum {share['most']:.2f} of "
        f"{clock['repeats']} repeats)"
    )
    return text, share["median"] <= SECONDS


def _real(sets: dict[str, Any]) -> tuple[str, bool] | None:
    there = [name for name in SETS if sets.get(name)]
    if not there:
        return None
    peers = [name for name in there if "peer" in sets[name]]
    text = f"{len(there)} of {len(SETS)} sets, {len(peers)} of them with such a pair"
    return text, len(peers) == len(SETS)


# Of a pair with private quantities: accuracy, AUROC of its marks, shares of the peer's tokens and
# seconds, and points of accuracy that it may lose to the peer.
PRIVATE_ACCURACY = {
    PRIVATE_HELD_OUT[0]: 0.93,
    PRIVATE_HELD_OUT[1]: 0.80,
    "multiarith": 0.82,
    "asdiv_mawps": 0.65,
    "svamp": 0.30,
    "gsm8k_test": 0.15,
}
PRIVATE_AUROC, PRIVATE_TOKENS, PRIVATE_SECONDS, PRIVATE_POINTS = 0.75, 0.25, 0.4, 0.02


def private_target_rows(sets: dict[str, Any], figures: dict[str, Any]) -> list[Row]:
    """Return the rows of a pair with private quantities; those that were not measured are left out."""
    rows = []
    for name, wanted in PRIVATE_ACCURACY.items():
        if one := sets.get(name):
            met = one["split"]["accuracy"] >= wanted
            words = f"{set_name(name)}: at least {wanted:.0%}"
            rows.append((words, percent(one["split"]), verdict(met)))
    for name, (auroc, count) in _auroc(figures).items():
        if name in sets and name not in PRIVATE_HELD_OUT and auroc is not None:
            words = f"`{name}`, right against wrong: AUROC at least {PRIVATE_AUROC}"
            met = auroc >= PRIVATE_AUROC
            rows.append((words, f"{auroc:.2f} ({count} questions)", verdict(met)))
    both = [one for one in sets.values() if "difference" in one.get("peer", ())]
    if both:
        own, its = (
            sum(one[which]["large_tokens"] * one["questions"] for one in both)
            / sum(one["questions"] for one in both)
            for which in ("split", "peer")
        )
        words = f"large-model tokens of the peer: at most {PRIVATE_TOKENS:.2f}"
        met = own / its <= PRIVATE_TOKENS
        rows.append((words, f"{own / its:.2f} ({own:.1f} of {its:.1f})", verdict(met)))
        least = min(one["peer"]["difference_95"][0] for one in both)
        words = "accuracy on each set: 95% CI of the difference to the peer above -2 points"
        met = least >= -PRIVATE_POINTS
        rows.append((words, f"least lower bound {100 * least:+.1f} points", verdict(met)))
    if clock := figures.get("wall_clock"):
        found = clock["share_of_seconds"]
        words = f"seconds of the peer, end to end on one machine: at most {PRIVATE_SECONDS:.1f}"
        measured = "{median:.2f} ({least:.2f} to {most:.2f})".format(**found)
        rows.append((words, measured, verdict(found["median"] <= PRIVATE_SECONDS)))
    return rows


def _auroc(figures: dict[str, Any]) -> dict[str, tuple[float | None, int]]:
    """AUROC and questions of each set: of the marks, or else of the formulas' checks."""
    if marks := figures.get("marks"):
        return {
            name: (one["auroc"] and one["auroc"]["value"], one["questions"])
            for name, one in marks["marks"].items()
        }
    sets = figures["formulas"]["sets"] if figures["formulas"] else ()
    return {each["set"]: (each["auroc_checks"], each["questions"]) for each in sets}
