"""The targets of a released pair, its measured figures, and whether they meet the targets."""

from collections.abc import Callable
from dataclasses import dataclass
from math import hypot
from typing import Any

from duet_report.intervals import Interval
from duet_report.numbers import share

ACCURACY, POINTS, TOKENS, ALONE, GREEDY, SECONDS = 0.90, 0.02, 0.40, 0.50, 0.99, 0.50
WITH_GPU = 0.60
SETS = ("multiarith", "addsub", "singleeq", "svamp", "gsm8k_test")
MISSING = "not measured"


@dataclass(frozen=True)
class Found:
    """The measured figures of a target."""

    measured: str
    """Description of the figures."""
    met: bool
    """Whether the point estimate meets the target."""

    @property
    def verdict(self) -> str:
        """The verdict in one word."""
        return "met" if self.met else "missed"


_Rule = Callable[[dict[str, Any], str], Found | None]


def target_rows(figures: dict[str, Any], kind: str) -> list[tuple[str, str, str]]:
    """Return rows of target, measured figures and verdict.

    `kind` is the quantization of the released decoder, such as Q8_0.
    """
    rows = []
    for words, rule in _RULES:
        found = rule(figures, kind)
        rows.append((words, found.measured if found else MISSING, found.verdict if found else ""))
    return rows


def percent(found: dict[str, Any]) -> str:
    """Format an accuracy with its 95% interval."""
    low, high = found["accuracy_95"]
    return share(Interval(value=found["accuracy"], low=low, high=high), 1)


def _wide(figures: dict[str, Any], method: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = figures["evaluations"].get("wide", {}).get(method)
    return found


def _served(figures: dict[str, Any], name: str) -> dict[str, Any] | None:
    served = figures["served"]
    found: dict[str, Any] | None = served["sets"].get(name) if served else None
    return found


def _reasoner(figures: dict[str, Any], _: str) -> Found | None:
    before, served = _wide(figures, "original"), _served(figures, "wide")
    if not before:
        return None
    text = f"{percent(before)} before joint training"
    if served:
        text += f"; the released one, as served, {percent(served['reasoner'])}"
    return Found(text, before["accuracy"] >= ACCURACY)


def _split(figures: dict[str, Any], _: str) -> Found | None:
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
    return Found(text, round(lost, 6) <= POINTS)


def _tokens(figures: dict[str, Any], _: str) -> Found | None:
    before, split, served = (
        _wide(figures, "original"),
        _wide(figures, "duet"),
        _served(figures, "wide"),
    )
    if not before or not split:
        return None
    spent, of = split["reasoner_tokens"], before["reasoner_tokens"]
    text = f"{spent / of:.2f} ({spent:.1f} of {of:.1f})"
    if served:
        own, alone = served["split"]["large_tokens"], served["reasoner"]["large_tokens"]
        text += f"; of the released reasoner's own, as served, {own / alone:.2f} ({own:.1f} of "
        text += f"{alone:.1f})"
    return Found(text, spent / of <= TOKENS)


def _alone(figures: dict[str, Any], _: str) -> Found | None:
    alone, split = _wide(figures, "alone"), _wide(figures, "duet")
    if not alone or not split or not split["accuracy"]:
        return None
    share = alone["accuracy"] / split["accuracy"]
    return Found(f"{share:.2f} of it: {percent(alone)}", share <= ALONE)


def _greedy(figures: dict[str, Any], kind: str) -> Found | None:
    parity = figures["parity"]
    if not parity:
        return None
    row = parity["decoder"][kind]
    text = (
        f"{row['greedy_agreement']:.1%} of {parity['questions']} for {kind}, mean KL "
        f"{row['mean_kl']:.2g} nats a token"
    )
    return Found(text, row["greedy_agreement"] >= GREEDY)


def _seconds(figures: dict[str, Any], _: str) -> Found | None:
    clock = figures["wall_clock"]
    if not clock:
        return None
    share = clock["share_of_seconds"]
    text = (
        f"{share['median']:.2f} (minimum {share['least']:.2f}, maximum {share['most']:.2f} of "
        f"{clock['repeats']} repeats)"
    )
    return Found(text, share["median"] <= SECONDS)


def _real(figures: dict[str, Any], _: str) -> Found | None:
    there = [name for name in SETS if _served(figures, name)]
    if not there:
        return None
    peers = [name for name in there if "peer" in figures["served"]["sets"][name]]
    text = f"{len(there)} of {len(SETS)} sets, {len(peers)} of them with such a pair"
    return Found(text, len(peers) == len(SETS))


def _gpu(figures: dict[str, Any], _: str) -> Found | None:
    found = _served(figures, "multiarith")
    if not found:
        return None
    text = f"{percent(found['split'])}, trained on a CPU; not measured with a GPU"
    return Found(text, found["split"]["accuracy"] >= WITH_GPU)


_RULES: tuple[tuple[str, _Rule], ...] = (
    (f"reasoner end to end, held-out problems: at least {ACCURACY:.0%} right", _reasoner),
    (f"split: at most {POINTS * 100:.0f} points fewer than the reasoner", _split),
    (f"split: at most {TOKENS:.2f} of the reasoner's tokens", _tokens),
    ("decoder by itself: at most half the split's accuracy", _alone),
    (
        f"GGUF against the trained weights; at least {GREEDY:.0%} of greedy answers are equal",
        _greedy,
    ),
    (f"end to end: at most {SECONDS:.2f} of the reasoner's seconds in vLLM", _seconds),
    ("real questions: reported, with a pair not trained for the split", _real),
    (f"`multiarith`, if a GPU trains the pair: at least {WITH_GPU:.0%}", _gpu),
)
