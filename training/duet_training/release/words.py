"""Texts of the README of `stories-5m` about its scope and its training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """Inputs of the measurement in serving."""

    real: tuple[str, ...]
    """Names of the files of real questions."""
    peer: str | None
    """Another pair to compare with; None without a comparison."""
    served: bool
    """Whether an interpreter with vLLM was available."""


REACH = (
    "It answers short English word problems of the templates that it was trained on: people, "
    "things, money and ages, whole numbers up to 99, one to four steps of arithmetic. It "
    "cannot answer anything else: no other templates, longer chains, facts, fractions, larger "
    "numbers or conversation. Real questions are worded more freely than the templates"
)
"""Questions that the pair answers; a figure of real questions follows."""
BEFORE = "writes long reasoning and an answer"
"""Description of the reasoner's output before joint training."""
HOW = (
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


def command(pair: str, asked: Asked) -> str:
    """Return the command that builds the pair and measures what was asked."""
    parts = [f"duet-train release build OUT --into cloud/pairs/duet_pairs/{pair}"]
    if asked.real:
        parts.append(" ".join(f"--real {name}.jsonl" for name in asked.real))
    if asked.peer:
        parts.append(f"--peer {asked.peer}")
    if asked.served:
        parts.append("--serving-python .venv/bin/python")
    return " \\\n        ".join(parts)
