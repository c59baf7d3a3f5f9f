"""The targets of a released pair, its measured figures, and whether they meet the targets."""

from collections.abc import Callable
from math import hypot
from typing import Any

from duet_report.intervals import Interval
from duet_report.numbers import share

ACCURACY, POINTS, TOKENS, ALONE, GREEDY, SECONDS = 0.90, 0.02, 0.40, 0.50, 0.99, 0.50
WITH_GPU = 0.60
SETS = ("multiarith", "addsub", "singleeq", "svamp", "gsm8k_test")
MISSING = "not measured"


_Rule = Callable[[dict[str, Any], str], tuple[str, bool] | None]
_RULES: list[tuple[str, _Rule]] = []
"""Each target in words, and the function that returns the figures and whether they meet it."""


def _target(words: str) -> Callable[[_Rule], _Rule]:
    def add(rule: _Rule) -> _Rule:
        _RULES.append((words, rule))
        return rule

    return add


def target_rows(figures: dict[str, Any], kind: str) -> list[tuple[str, str, str]]:
    """Return rows of target, measured figures and verdict.

    `kind` is the quantization of the released decoder, such as Q8_0.
    """
    rows = []
    for words, rule in _RULES:
        measured, met = rule(figures, kind) or (MISSING, None)
        rows.append((words, measured, "" if met is None else verdict(met)))
    return rows


def verdict(met: bool) -> str:
    """Say in one word whether the point estimate meets a target."""
    return "met" if met else "missed"


def percent(found: dict[str, Any]) -> str:
    """Format an accuracy with its 95% interval."""
    low, high = found["accuracy_95"]
    return share(Interval(value=found["accuracy"], low=low, high=high), 1)


def _wide(figures: dict[str, Any], method: str) -> dict[str, Any] | None:
    return figures["evaluations"].get("wide", {}).get(method)  # type: ignore[no-any-return]


def _served(figures: dict[str, Any], name: str) -> dict[str, Any] | None:
    served = figures["served"]
    found: dict[str, Any] | None = served["sets"].get(name) if served else None
    return found


@_target(f"reasoner end to end, held-out problems: at least {ACCURACY:.0%} right")
def _reasoner(figures: dict[str, Any], _: str) -> tuple[str, bool] | None:
    before, served = _wide(figures, "original"), _served(figures, "wide")
    if not before:
        return None
    text = f"{percent(before)} before joint training"
    if served:
        text += f"; the released one, as served, {percent(served['reasoner'])}"
    return text, before["accuracy"] >= ACCURACY


@_target(f"split: at most {POINTS * 100:.0f} points fewer than the reasoner")
def _split(figures: dict[str, Any], _: str) -> tuple[str, bool] | None:
    before, split = _wide(figures, "original"), _wide(figures, "duet")
    if not before or not split:
        return None
    lost = before["accuracy"] - split["accuracy"]
    half = hypot(
        *((each["accuracy_95"][1] - each["accuracy_95"][0]) / 2 for each in (before, split))
    )
    words = "fewer" if lost >= 0 else "more"
    text = (
        f"{abs(lost) * 100:.1f} points {words} ({(lost - half) * 100:.1f} to "
        f"{(lost + half) * 100:.1f} fewer, as of independent samples): "
        f"{percent(split)}"
    )
    return text, round(lost, 6) <= POINTS


@_target(f"split: at most {TOKENS:.2f} of the reasoner's tokens")
def _tokens(figures: dict[str, Any], _: str) -> tuple[str, bool] | None:
    before, split = _wide(figures, "original"), _wide(figures, "duet")
    served = _served(figures, "wide")
    if not before or not split:
        return None
    spent, of = split["reasoner_tokens"], before["reasoner_tokens"]
    text = f"{spent / of:.2f} ({spent:.1f} of {of:.1f})"
    if served:
        own, alone = served["split"]["large_tokens"], served["reasoner"]["large_tokens"]
        text += f"; of the released reasoner's own, as served, {own / alone:.2f} ({own:.1f} of "
        text += f"{alone:.1f})"
    return text, spent / of <= TOKENS


@_target("decoder by itself: at most half the split's accuracy")
def _alone(figures: dict[str, Any], _: str) -> tuple[str, bool] | None:
    alone, split = _wide(figures, "alone"), _wide(figures, "duet")
    if not alone or not split or not split["accuracy"]:
        return None
    share = alone["accuracy"] / split["accuracy"]
    return f"{share:.2f} of it: {percent(alone)}", share <= ALONE


@_target(f"GGUF against the trained weights; at least {GREEDY:.0%} of greedy answers are equal")
def _greedy(figures: dict[str, Any], kind: str) -> tuple[str, bool] | None:
    parity = figures["parity"]
    if not parity:
        return None
    row = parity["decoder"][kind]
    text = (
        f"{row['greedy_agreement']:.1%} of {parity['questions']} for {kind}, mean KL "
        f"{row['mean_kl']:.2g} nats a token"
    )
    return text, row["greedy_agreement"] >= GREEDY


@_target(f"end to end: at most {SECONDS:.2f} of the reasoner's seconds in vLLM")
def _seconds(figures: dict[str, Any], _: str) -> tuple[str, bool] | None:
    clock = figures["wall_clock"]
    if not clock:
        return None
    share = clock["share_of_seconds"]
    text = (
        f"{share['median']:.2f} (minimum {share['least']:.2f}, maximum {share['most']:.2f} of "
        f"{clock['repeats']} repeats)"
    )
    return text, share["median"] <= SECONDS


@_target("real questions: reported, with a pair not trained for the split")
def _real(figures: dict[str, Any], _: str) -> tuple[str, bool] | None:
    there = [name for name in SETS if _served(figures, name)]
    if not there:
        return None
    peers = [name for name in there if "peer" in figures["served"]["sets"][name]]
    text = f"{len(there)} of {len(SETS)} sets, {len(peers)} of them with such a pair"
    return text, len(peers) == len(SETS)


@_target(f"`multiarith`, if a GPU trains the pair: at least {WITH_GPU:.0%}")
def _gpu(figures: dict[str, Any], _: str) -> tuple[str, bool] | None:
    found = _served(figures, "multiarith")
    if not found:
        return None
    text = f"{percent(found['split'])}, trained on a CPU; not measured with a GPU"
    return text, found["split"]["accuracy"] >= WITH_GPU
