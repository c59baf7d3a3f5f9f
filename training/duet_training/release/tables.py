"""The tables of the page: targets, generated sets by the trainer, sets as served, seconds."""

from typing import Any

from duet_report.tables import markdown
from duet_training.evaluation.signal_table import content_table
from duet_training.release.targets import percent, target_rows

SETS = {
    "wide": "word problems of the trained templates, held out",
    "wide-long": "longer problems: five and six steps",
    "wide-other": "held-out templates",
}
_METHODS = {
    "original": "reasoner before joint training",
    "duet": "split",
    "alone": "decoder by itself",
}


def targets(figures: dict[str, Any], kind: str) -> str:
    """Write the table of targets; `kind`: quantization of the released decoder."""
    return (
        "Targets are met or missed by the point estimate; intervals are 95% CI. Unless stated "
        "otherwise, the baseline is the reasoner before joint training.\n\n"
        + markdown(("target", "measured", "met?"), target_rows(figures, kind))
    )


def trained(evaluations: dict[str, dict[str, Any]]) -> str:
    """Write the trainer's figures of generated sets."""
    rows = []
    for name, words in SETS.items():
        if found := evaluations.get(name):
            questions = max(each["questions"] for each in found.values())
            cells = [_evaluated(found.get(method)) for method in _METHODS]
            rows.append((words, str(questions), *cells))
    return (
        "Greedy answers to generated problems, evaluated by the trainer: accuracy with its 95% CI "
        "over questions, and large-model tokens per question. The *reasoner before joint training* "
        "writes long reasoning and an answer; it is not part of the release.\n\n"
        + markdown(("questions", "", *_METHODS.values()), rows)
    )


def signals(found: dict[str, Any] | None) -> str:
    """Write what the signals carry on held-out problems of the trained templates."""
    questions = f" {found['questions']} questions." if found else ""
    return (
        "What signals carry: how often they state the reference, and the decoder's accuracy from "
        "the first part of a signal, with every place of the answer removed or replaced, and with "
        f"spans of the same lengths removed elsewhere (placebo).{questions}\n\n"
        + content_table({SETS["wide"]: found})
    )


def served(found: dict[str, Any]) -> str:
    """Write the serving figures of whole sets."""
    sets, peer = found["sets"], found["peer"]
    real = [name for name in sets if name not in SETS]
    rows = []
    for name in sorted(sets, key=lambda name: (name not in SETS, name)):
        one = sets[name]
        cells = [answered_cell(one["split"], one), answered_cell(one["reasoner"], one)]
        if peer:
            cells.append(answered_cell(one.get("peer"), one))
        rows.append(
            (SETS.get(name, f"`{name}`"), str(one["questions"]), *cells, *marked_cells(one))
        )
    text = (
        "Greedy answers of the served pair (its service and llama.cpp) to every question of each "
        "set. The *released reasoner* answers alone, in vLLM's OpenAI server, with up to "
        f"{found['large_limit']} tokens. A question that is too long, or fails otherwise, counts "
        "as wrong. An answer is right if its last `\\boxed{}`, or else its last number, equals the "
        "reference, in every column. *Marked low*: share of the split's right and of its wrong "
        "answers that the device marks as low in confidence."
    )
    if real:
        text += (
            " Sets with a name are public test sets, or the part of them that the table counts. "
            "This repository does not contain them (`duet-train release real` makes them from the "
            "public files), and some share questions."
        )
    if peer:
        text += (
            f" `{peer}` is a pair that is not trained for the split. Its reasoner answers alone, "
            "as that pair serves it; the pair's recipe names the weights."
        )
    head = ["questions", "", "split", "released reasoner"]
    head += [f"reasoner of `{peer}`"] if peer else []
    return text + "\n\n" + markdown((*head, "right, marked low", "wrong, marked low"), rows)


def seconds(measured: dict[str, Any], alone: str = "reasoner before joint training") -> str:
    """Write the durations of the split and of a reasoner that answers alone, in seconds."""
    share, machine = measured["share_of_seconds"], measured["machine"]
    rows = [
        (
            name,
            f"{found['seconds']['median']:.1f} s ({found['seconds']['least']:.1f} to "
            f"{found['seconds']['most']:.1f})",
            f"{found['accuracy']:.1%}",
            f"{found['reasoner_tokens']:.1f}",
        )
        for name, found in (
            ("split", measured["split"]),
            (alone, measured["original"]),
        )
    ]
    return (
        f"Seconds for {measured['questions']} problems that no model was trained on, one at a time. "
        "Both models and "
        f"the bench share {machine['cores']} cores ({machine['cpu']}), without a link. The split "
        f"runs through its service and includes the decoder; the {alone} runs in vLLM's "
        f"OpenAI server. Both engines use `{' '.join(measured['engines']['split'])}`, in the same "
        f"environment, one at a time. {measured['repeats']} repeats in alternating order: median "
        f"(minimum to maximum). Ratio of the split to the {alone} per repeat: "
        f"{share['median']:.2f} ({share['least']:.2f} to {share['most']:.2f}).\n\n"
        + markdown(("", "seconds", "right", "tokens of the large model"), rows)
    )


def _evaluated(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    tokens = f", {found['reasoner_tokens']:.0f} tokens" if found["reasoner_tokens"] else ""
    return percent(found) + tokens


def answered_cell(found: dict[str, Any] | None, of: dict[str, Any]) -> str:
    """Format a cell of serving figures; `of`: its set."""
    if not found:
        return ""
    text = f"{percent(found)}, {found['large_tokens']:.0f} tokens"
    if found["questions"] != of["questions"]:
        text += f"; first {found['questions']}"
    failures = (f"{count} {status}" for status, count in found["failures"].items())
    return "; ".join((text, *failures))


def marked_cells(one: dict[str, Any]) -> tuple[str, str]:
    """Format the shares of right and of wrong answers that are marked."""
    marked = one["marked_low"]
    if not marked:
        return "", ""
    return tuple(
        f"{marked[f'{which}_marked'] / marked[which]:.0%} of {marked[which]}"
        if marked[which]
        else ""
        for which in ("right", "wrong")
    )  # type: ignore[return-value]
