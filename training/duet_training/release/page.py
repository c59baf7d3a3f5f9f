"""The README of a released pair: its scope, its limits and its figures."""

from typing import Any

from duet_contract.manifest import Manifest
from duet_training.release import tables
from duet_training.release.targets import percent

_REACH = (
    "It answers short English word problems of the templates that it was trained on: people, "
    "things, money and ages, whole numbers up to 99, one to four steps of arithmetic. It "
    "cannot answer anything else: no other templates, longer chains, facts, fractions, larger "
    "numbers or conversation. Real questions are worded more freely than the templates"
)
"""Questions that the pair answers; a figure of real questions follows."""
_HOW = (
    "The stages, on two processor cores: a tokenizer, SFT of both models on synthetic word "
    "problems (`training/duet_training/data/story_problems`), joint training with "
    "length-penalized GRPO (`training/duet_training/release/stories.py` has every setting), "
    "export. This page is generated from `figures.json`.",
    "SFT of these weights was interrupted several times and resumed with other shares of "
    "the solution styles (the reasoner after some 1,600 to 2,200 steps, the decoder after "
    "1,300). The command above therefore gives weights of the same kind, not the same "
    "weights. The time of a whole run was not measured; at the logged 1,500 tokens per "
    "second, SFT alone takes about 3.5 hours.",
)
"""How the pair was trained."""


def write_page(manifest: Manifest, figures: dict[str, Any]) -> str:
    """Write the pair's README in Markdown; omit missing figures or state that they are missing."""
    # Such as Q8_0 for `decoder/model.Q8_0.gguf`.
    kind = manifest.decoder.path.rsplit("/", 1)[-1].removeprefix("model.").removesuffix(".gguf")
    evaluations = figures["evaluations"]
    parts = [
        f"# {manifest.id}",
        _what(manifest),
        "## What it can and cannot answer",
        *_reach(figures, kind, manifest.defaults.confidence),
        "## Figures",
        tables.targets(figures, kind),
    ]
    if evaluations:
        parts.append(tables.trained(evaluations))
        parts += _joint(figures)
    if "signals" in figures:
        parts.append(tables.signals(figures["signals"]))
    if figures["served"]:
        parts.append(tables.served(figures["served"]))
    if figures["parity"]:
        parts.append(_parity(figures["parity"], kind))
    if figures["wall_clock"]:
        parts.append(tables.seconds(figures["wall_clock"]))
    parts += ["## How it was trained", _command(manifest, figures), *_HOW]
    return "\n\n".join(parts) + "\n"


def _real(figures: dict[str, Any]) -> dict[str, Any]:
    """Select the serving figures of the sets that were not generated."""
    sets = figures["served"]["sets"] if figures["served"] else {}
    return {name: found for name, found in sets.items() if name not in tables.SETS}


def _command(manifest: Manifest, figures: dict[str, Any]) -> str:
    real, served = list(_real(figures)), figures["served"]
    vllm = figures["parity"]["reasoner"]["vllm"] if figures["parity"] else {}
    parts = [f"duet-train release build OUT --into cloud/pairs/duet_pairs/{manifest.id}"]
    if real:
        parts.append(" ".join(f"--real {name}.jsonl" for name in real))
    if served and served["peer"]:
        parts.append(f"--peer {served['peer'].split('@')[0]}")
    if served or figures["wall_clock"] or vllm.get("measured"):
        parts.append("--serving-python .venv/bin/python")
    return "    $ " + " \\\n        ".join(parts)


def _what(manifest: Manifest) -> str:
    reasoner, decoder = manifest.reasoner.parameters / 1e6, manifest.decoder.parameters / 1e6
    return (
        f"{manifest.description[0].upper()}{manifest.description[1:]}. The reasoner has "
        f"{reasoner:.1f} million parameters (safetensors, for vLLM), the decoder {decoder:.1f} "
        f"million (GGUF, for llama.cpp). Version {manifest.version}, {manifest.licence}."
    )


def _reach(figures: dict[str, Any], kind: str, confidence: float | None) -> list[str]:
    said = ", and few of them are answered right"
    if shares := [found["split"]["accuracy"] for found in _real(figures).values()]:
        least, most = f"{min(shares):.0%}", f"{max(shares):.0%}"
        said = f": it answers {least if least == most else f'{least} to {most}'} of each set right"
    lines = [f"{_REACH}{said}."]
    doubt = figures["parity"]["decoder"][kind]["confidence"] if figures["parity"] else {}
    if doubt.get("threshold") is not None:
        share = doubt["wrong_marked"]
        caught = f" and {share:.0%} of the wrong ones" if share is not None else ""
        served = figures["served"]
        judged = served and any(found["marked_low"] for found in served["sets"].values())
        beyond = " The tables below have the shares for other questions." if judged else ""
        lines.append(
            "An answer is marked as low in confidence if the decoder gave one of its tokens a "
            f"probability below {doubt['threshold']:.3g}. The threshold was chosen on answers to "
            f"{_compared_on(figures['parity'])}: it marks {doubt['right_marked']:.0%} of the right "
            f"answers{caught}."
            f"{beyond} An unmarked answer can still be wrong."
        )
    elif confidence is not None:
        lines.append(
            "An answer is marked as low in confidence if the decoder gave one of its tokens a "
            f"probability below {confidence:.3g}. The mark says whether the decoder could read "
            "question and signal, not whether the signal is right. The tables below have the "
            "shares of right and of wrong answers that are marked."
        )
    elsewhere = figures["served"] and figures["served"].get("elsewhere")
    if elsewhere and elsewhere["marked"] is not None:
        lines.append(
            f"Of {elsewhere['questions']} out-of-domain questions about facts, languages and small "
            "talk (`training/duet_training/release/elsewhere.jsonl`), it marks "
            f"{elsewhere['marked']} of its {elsewhere['answered']} answers as low in confidence."
        )
    if figures["samples"]:
        first, last = figures["samples"][0], figures["samples"][-1]
        lines.append(
            f"A signal at the first step of joint training: `{_short(first['signal'])}`; "
            f"at the last: `{_short(last['signal'])}`."
        )
    return lines


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:160] + "..."


def _joint(figures: dict[str, Any]) -> list[str]:
    """Describe the cost of joint training, and its part of the saving."""
    sentences = []
    longer = figures["evaluations"].get("wide-long", {})
    if "original" in longer and "duet" in longer:
        before, after = longer["original"], longer["duet"]
        costs = "accuracy" if before["accuracy"] > after["accuracy"] else "nothing"
        sentences.append(
            f"Joint training costs {costs} on problems longer than its own: the reasoner before it "
            f"answers {percent(before)} right, the split after it {percent(after)}."
        )
    served = figures["served"]["sets"].get("wide") if figures["served"] else None
    if served:
        split, alone = served["split"]["large_tokens"], served["reasoner"]["large_tokens"]
        sentences.append(
            f"Alone, the released reasoner answers held-out problems with {alone:.1f} tokens; the "
            f"split spends {split:.1f} of them. The rest of the saving over the reasoner before "
            "joint training is due to joint training, not to the split."
        )
    return [" ".join(sentences)] if sentences else []


def _parity(parity: dict[str, Any], kind: str) -> str:
    row = parity["decoder"][kind]
    text = (
        f"The {kind} decoder in llama.cpp against the trained weights: the same greedy answer to "
        f"{row['greedy_agreement']:.1%} of the prompts, mean KL {row['mean_kl']:.2g} nats a token."
    )
    vllm = parity["reasoner"]["vllm"]
    if vllm.get("measured"):
        text += (
            f" The reasoner in vLLM: mean KL {vllm['mean_kl']:.2g}, top-1 agreement "
            f"{vllm['top1_agreement']:.1%}."
        )
    return text


def _compared_on(parity: dict[str, Any]) -> str:
    """Name the problems whose answers set the threshold."""
    other = parity.get("source") == "stories:wide-other"
    return "problems of held-out templates" if other else "held-out problems"
