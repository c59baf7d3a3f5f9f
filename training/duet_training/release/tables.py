"""The tables of released pairs' pages."""

from typing import Any

from duet_report.tables import markdown
from duet_training.release.stage import HELD_OUT, SET_NAMES, set_name
from duet_training.release.targets import percent

_METHODS = {
    "original": "reasoner before joint training",
    "duet": "split",
    "alone": "decoder by itself",
}


def trained(evaluations: dict[str, dict[str, Any]]) -> str:
    """Write the trainer's figures of generated sets."""
    rows = []
    for name in HELD_OUT:
        if found := evaluations.get(name):
            questions = max(each["questions"] for each in found.values())
            cells = [_evaluated(found.get(method)) for method in _METHODS]
            rows.append((set_name(name), str(questions), *cells))
    return markdown(("questions", "", *_METHODS.values()), rows)


def served(sets: dict[str, Any], peer: str | None) -> str:
    """Write the serving figures of whole sets."""
    rows = []
    for name in sorted(sets, key=lambda name: (name not in SET_NAMES, name)):
        one = sets[name]
        cells = [_answered(one[which], one) for which in ("split", "reasoner")]
        cells += [_answered(one.get("peer"), one)] if peer else []
        rows.append((set_name(name), str(one["questions"]), *cells, *_marked(one)))
    head = ["questions", "", "split", "released reasoner"]
    head += [f"reasoner of `{peer}`"] if peer else []
    return markdown((*head, "right, marked low", "wrong, marked low"), rows)


def private(sets: dict[str, Any], peer: str | None) -> str:
    """Write the serving figures of a pair with private quantities."""
    rows = []
    for name, one in sets.items():
        cells = [_answered(one["split"], one), percent(one["device"])]
        if peer:
            cells += [_answered(one.get("peer"), one), _difference(one.get("peer"))]
        rows.append((set_name(name), str(one["questions"]), *cells, *_marked(one)))
    head = ["questions", "", "split", "decoder by itself"]
    head += ["peer", "split - peer"] if peer else []
    return markdown((*head, "right, marked", "wrong, marked"), rows)


def marks(found: dict[str, dict[str, Any]]) -> str:
    """Write how good the marks are by the pair's own calibration."""
    rows = []
    for name, one in found.items():
        auroc, ece, unmarked = one["auroc"], one["ece"], one["right_unmarked"]
        rows.append(
            (
                "all sets of real questions" if name == "real" else set_name(name),
                str(one["questions"]),
                f"{one['right']['value']:.1%}",
                "" if auroc is None else f"{auroc['value']:.2f}",
                "" if ece is None else f"{ece:.3f}",
                f"{one['marked']:.0%}",
                "" if unmarked is None else f"{unmarked['value']:.1%}",
                f"{one['right_surer_half']['value']:.1%}",
            )
        )
    head = ("questions", "", "right", "AUROC", "ECE", "marked", "right if not marked")
    return markdown((*head, "right, surer half"), rows)


def seconds(measured: dict[str, Any], alone: str) -> str:
    """Write the durations of the split and of a reasoner that answers alone, in seconds."""
    rows = []
    for name, found in (("split", measured["split"]), (alone, measured["original"])):
        took = "{median:.1f} s ({least:.1f} to {most:.1f})".format(**found["seconds"])
        rows.append((name, took, f"{found['accuracy']:.1%}", f"{found['reasoner_tokens']:.1f}"))
    return markdown(("", "seconds", "right", "tokens of the large model"), rows)


def _evaluated(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    tokens = f", {found['reasoner_tokens']:.0f} tokens" if found["reasoner_tokens"] else ""
    return percent(found) + tokens


def _answered(found: dict[str, Any] | None, of: dict[str, Any]) -> str:
    """Format a cell of serving figures; `of`: its set."""
    if not found:
        return ""
    text = f"{percent(found)}, {found['large_tokens']:.0f} tokens"
    if found["questions"] != of["questions"]:
        text += f"; first {found['questions']}"
    failures = (f"{count} {status}" for status, count in found["failures"].items())
    return "; ".join((text, *failures))


def _marked(one: dict[str, Any]) -> list[str]:
    """Format the shares of right and of wrong answers that are marked."""
    marked = one["marked_low"]
    if not marked:
        return ["", ""]
    return [
        f"{marked[f'{which}_marked'] / marked[which]:.0%} of {marked[which]}"
        if marked[which]
        else ""
        for which in ("right", "wrong")
    ]


def _difference(peer: dict[str, Any] | None) -> str:
    if not peer or "difference" not in peer:
        return ""
    low, high = (100 * each for each in peer["difference_95"])
    return f"{100 * peer['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
