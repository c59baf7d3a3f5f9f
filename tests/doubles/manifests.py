"""A valid manifest to change one thing of."""

from typing import Any

from duet_contract.manifest import PRIVATE_SCHEMA

SHA = "0" * 64
PRIVATE_PAIR = {"schema": PRIVATE_SCHEMA, "quantities": "private", "answers": "computed"}
"""Entries of a pair with private quantities and computed answers."""


def manifest_data(**changes: Any) -> dict[str, Any]:
    """Manifest data as read from JSON; `changes` replace top-level entries."""
    vocabulary = {"size": 100, "sha256": "a" * 64, "reserved": ["<|end|>"]}
    question: list[dict[str, str]] = [{"template": "Q: "}, {"slot": "question"}]
    return {
        "schema": 1,
        "id": "toy",
        "version": "1.2.3",
        "description": "a toy",
        "licence": "Apache-2.0",
        "base_models": ["toy/toy"],
        "made_with": "make toy",
        "reasoner": {
            "path": "reasoner",
            "files": [{"path": "reasoner/a.json", "bytes": 1, "sha256": SHA}],
            "parameters": 1000,
            "vocabulary": vocabulary,
            "prompt": [*question, {"template": "\nA:"}],
            "end_of_reasoning": "<|end|>",
            "context": 100,
        },
        "decoder": {
            "path": "decoder/m.gguf",
            "files": [{"path": "decoder/m.gguf", "bytes": 1, "sha256": SHA}],
            "parameters": 100,
            "vocabulary": vocabulary,
            "prompt_with_signal": [*question, {"template": "\n"}, {"slot": "signal"}],
            "prompt_alone": question,
            "end_of_answer": ["<|end|>"],
            "context": 100,
        },
        "limits": {"question": 20, "budget": 40, "answer": 30},
        "defaults": {"budget": 10, "answer": 20},
        **changes,
    }
