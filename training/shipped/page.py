"""The page beside a shipped pair: what it answers, what it does not, what was measured."""

from typing import Any

from duet_contract.manifest import Manifest

_SETS = {
    "wide": "word problems as trained on, held out",
    "wide-long": "longer ones: five and six steps",
    "wide-other": "plots that were never trained on",
}

_COLUMNS = {"original": "reasoner by itself", "duet": "split", "alone": "decoder by itself"}

_HOW = (
    "From nothing, on two processor cores: a tokenizer, supervised training of both models on "
    "generated stories (`training/stories`), joint training with length-penalised GRPO "
    "(`training/shipped/plan.py` has every setting), export. `figures.json` holds what was "
    "measured; this page is written from it."
)


def write_page(manifest: Manifest, figures: dict[str, Any]) -> str:
    """The README of the pair, in Markdown."""
    return (
        "\n\n".join(
            [
                f"# {manifest.id}",
                _what(manifest),
                "## What it can and cannot answer",
                _reach(manifest, figures),
                "## Figures",
                _table(figures["evaluations"], figures["peer"]),
                _parity(manifest, figures["parity"]),
                *([_wall_clock(figures["wall_clock"])] if figures["wall_clock"] else []),
                "## How it was made",
                _command(manifest, figures),
                _HOW,
            ]
        )
        + "\n"
    )


def _real(evaluations: dict[str, Any]) -> list[str]:
    """Names of the sets that were not generated."""
    return sorted(set(evaluations) - set(_SETS))


def _command(manifest: Manifest, figures: dict[str, Any]) -> str:
    command = f"    $ python -m training.shipped OUT --into cloud/pairs/{manifest.id}"
    if real := _real(figures["evaluations"]):
        command += f" \\\n        --real {' '.join(f'{name}.jsonl' for name in real)}"
    if figures["parity"]["reasoner"]["vllm"].get("measured"):
        command += " \\\n        --serving-python .venv/bin/python"
    return command


def _what(manifest: Manifest) -> str:
    reasoner, decoder = manifest.reasoner.parameters / 1e6, manifest.decoder.parameters / 1e6
    return (
        f"{manifest.description[0].upper()}{manifest.description[1:]}. The reasoner has "
        f"{reasoner:.1f} million parameters (safetensors, for vLLM), the decoder {decoder:.1f} "
        f"million (GGUF, for llama.cpp). Version {manifest.version}, {manifest.licence}."
    )


def _reach(manifest: Manifest, figures: dict[str, Any]) -> str:
    before, after = figures["samples"]
    told = "; the table says how many" if _real(figures["evaluations"]) else ""
    doubt = figures["parity"]["decoder"][_kind(manifest)]["confidence"]
    lines = [
        "It answers short word problems in English about people, things, money and ages, of the "
        "plots that it was trained on: whole numbers up to 99, one to four steps of adding, taking "
        "away, multiplying and dividing. It knows nothing else: no other plots, no longer chains, "
        "no facts, no fractions, no larger numbers, no conversation. Real questions are worded "
        "more freely than the stories it was trained on, and it gets most of them "
        f"wrong{told}."
    ]
    if doubt["threshold"] is not None:
        share = doubt["wrong_marked"]
        caught = f" and {share:.0%} of the wrong ones" if share is not None else ""
        lines.append(
            "An answer is marked as low in confidence where the decoder gave one of its tokens "
            f"less than {doubt['threshold']:.3g}: {doubt['right_marked']:.0%} of the right answers"
            f"{caught} to held-out problems fall under it. An unmarked answer can still be wrong."
        )
    lines.append(
        f"A signal at the first step of joint training: `{_short(before['signal'])}`; "
        f"at the last: `{_short(after['signal'])}`."
    )
    return "\n\n".join(lines)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:160] + "..."


def _table(evaluations: dict[str, dict[str, Any]], peer: str | None) -> str:
    columns = dict(_COLUMNS)
    if peer:
        columns["peer"] = f"reasoner of `{peer}`"
    head = (
        "Greedy answers; accuracy with its 95% interval over questions, tokens of the large model. "
        "*Reasoner by itself* is the one before joint training, which reasons at length and "
        "answers.\n\n"
        f"| questions | | {' | '.join(columns.values())} |\n"
        f"| {' | '.join(['---'] * (len(columns) + 2))} |\n"
    )
    if _real(evaluations):
        head = (
            "Sets by name are real questions, the public test sets that are called so; they are no "
            "part of this code.\n\n" + head
        )
    rows = []
    for name in sorted(evaluations, key=lambda name: (name not in _SETS, name)):
        found = evaluations[name]
        count = found["original"]["questions"]
        cells = [_cell(found.get(method), count) for method in columns]
        rows.append(f"| {_SETS.get(name, f'`{name}`')} | {count} | {' | '.join(cells)} |")
    return head + "\n".join(rows)


def _cell(found: dict[str, Any] | None, count: int) -> str:
    if not found:
        return ""
    low, high = found["accuracy_95"]
    text = f"{found['accuracy']:.1%} ({low:.1%} to {high:.1%})"
    if found["reasoner_tokens"]:
        text += f", {found['reasoner_tokens']:.0f} tokens"
    return text if found["questions"] == count else f"{text}; first {found['questions']}"


def _parity(manifest: Manifest, parity: dict[str, Any]) -> str:
    kind = _kind(manifest)
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


def _wall_clock(measured: dict[str, Any]) -> str:
    share, machine = measured["share_of_seconds"], measured["machine"]
    rows = [
        f"| {name} | {found['seconds']['median']:.1f} s ({found['seconds']['least']:.1f} to "
        f"{found['seconds']['most']:.1f}) | {found['accuracy']:.1%} | "
        f"{found['reasoner_tokens']:.1f} |"
        for name, found in (
            ("split", measured["split"]),
            ("reasoner before joint training", measured["original"]),
        )
    ]
    return "\n".join(
        [
            f"Seconds for {measured['questions']} held-out problems, one at a time, both models "
            f"and the bench on the same {machine['cores']} cores ({machine['cpu']}), no link "
            "between: the split through its service, answers of the decoder included; the "
            "reasoner by itself through vLLM's OpenAI server. Both engines with "
            f"`{' '.join(measured['engines']['split'])}`, one at a time. {measured['repeats']} "
            "repeats, the order alternating: median, least and most. The split's share of the "
            f"seconds, repeat by repeat: {share['median']:.2f} ({share['least']:.2f} to "
            f"{share['most']:.2f}).",
            "",
            "| | seconds | right | tokens of the large model |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    )


def _kind(manifest: Manifest) -> str:
    """Such as Q8_0, out of `decoder/model.Q8_0.gguf`."""
    return manifest.decoder.path.rsplit("/", 1)[-1].removeprefix("model.").removesuffix(".gguf")
