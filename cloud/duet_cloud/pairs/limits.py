"""Derives a pair's limits and defaults from its models, where its recipe names none."""

import json
from contextlib import suppress
from pathlib import Path

from duet_contract.manifest import Decoder, Defaults, Limits, Reasoner
from duet_contract.sampling import valid_temperature

# Most tokens of each kind that any pair gets.
_QUESTION, _ANSWER, _BUDGET = 1024, 2048, 16384


def limits_for(reasoner: Reasoner, decoder: Decoder) -> Limits:
    """Return limits that fit both models' context windows.

    Question, answer, and the text around them in the prompts get an eighth of the smaller window
    each, the signal at most the rest.
    """
    window = min(reasoner.context, decoder.context)
    eighth = max(1, window // 8)
    question, answer = min(_QUESTION, eighth), min(_ANSWER, eighth)
    budget = min(_BUDGET, window - question - answer - eighth)
    return Limits(question=question, budget=max(1, budget), answer=answer)


def defaults_for(limits: Limits, reasoner: Path) -> Defaults:
    """Return defaults within `limits`: a quarter of the budget, and a whole answer.

    Args:
        limits: the pair's.
        reasoner: directory of the model, whose `generation_config.json` may name a temperature.
    """
    temperature = 0.0
    with suppress(OSError, ValueError, AttributeError):
        settings = json.loads((reasoner / "generation_config.json").read_text("utf-8"))
        wanted = settings.get("temperature")
        if settings.get("do_sample") and isinstance(wanted, int | float):
            temperature = float(wanted) if valid_temperature(wanted) else 0.0
    return Defaults(
        budget=max(1, limits.budget // 4), answer=limits.answer, temperature=temperature
    )
