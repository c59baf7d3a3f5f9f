"""The built-in pair of the paper next to its released code's form, as a table of the documents."""

import json
from collections.abc import Callable
from pathlib import Path

from duet_contract.manifest import PromptFormat, SlotPart
from duet_report.tables import markdown
from duet_training.data.sets import QUESTION, SETS, Asks
from duet_training.pair.description import Pair, read_pair

OURS, RELEASED = "qwen3-4b-0.6b", "qwen3-4b-0.6b-released"


def differences() -> str:
    """Write the table from both descriptions and the data sets' instructions."""
    ours, released = (read_pair(Path(name)) for name in (OURS, RELEASED))
    rows = [
        ["reasoner's prompt", *_cells(ours, released, lambda pair: _prompt(pair.reasoner.prompt))],
        [
            "decoder's prompt with a signal",
            *_cells(ours, released, lambda pair: _prompt(pair.decoder.prompt_with_signal)),
        ],
        [
            "decoder's prompt alone",
            *_cells(ours, released, lambda pair: _prompt(pair.decoder.prompt_alone)),
        ],
        ["who opens the reasoning", *_cells(ours, released, _opens)],
        ["white space around a signal", "as the reasoner wrote it", "as the reasoner wrote it"],
        ["prompts are tokenized", *_cells(ours, released, lambda pair: _TOKENIZED[pair.tokenized])],
        ["instruction", *_cells(ours, released, lambda pair: _INSTRUCTION[pair.instruction])],
        *(
            [f"{which} reads, {sets}", "", _code(text)]
            for sets, asks in _by_asks()
            for which, text in (("reasoner", asks.reasoner), ("decoder", asks.decoder))
        ),
        ["verifier, mathematics", "`math`", "`released`: equal strings"],
        ["verifier, multiple choice", "`choice`: the letter in the box", "`letter`: `Answer: B`"],
        ["can be exported", "yes", "no: no device builds such prompts"],
    ]
    return markdown(["", f"`pair={OURS}`", f"`pair={RELEASED}`"], rows)


_TOKENIZED = {"parts": "part by part, as in serving", "whole": "the whole text at once"}
_INSTRUCTION = {"pair": "in the pair's prompts", "data": "in the rows (`--instruction data`)"}


def _cells(ours: Pair, released: Pair, text: Callable[[Pair], str]) -> list[str]:
    return [text(pair) for pair in (ours, released)]


def _prompt(prompt: PromptFormat) -> str:
    return _code(
        "".join(f"{{{p.slot}}}" if isinstance(p, SlotPart) else p.template for p in prompt)
    )


def _opens(pair: Pair) -> str:
    return "the prompt" if pair.reasoner.opened else "the reasoner"


def _by_asks() -> list[tuple[str, Asks]]:
    """Instructions with the names of the sets that have them."""
    found: dict[Asks, list[str]] = {}
    for name, source in SETS.items():
        found.setdefault(source.asks, []).append(name)
    return [(", ".join(names), asks) for asks, names in found.items()]


def _code(text: str) -> str:
    """Format a prompt as code in a cell of one line."""
    shown = json.dumps(text.replace(QUESTION, "{question}"), ensure_ascii=False)[1:-1]
    shown = shown.replace("\\\\", "\\").replace('\\"', '"')
    return f"`{shown}`"
