"""Accuracy on held-out questions while a run trains: one answer each, as evaluation answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from duet_training.data.rows import Problem
from duet_training.evaluation.methods import METHODS
from duet_training.evaluation.scoring import Verifiers
from duet_training.evaluation.serving import Serving
from duet_training.pair.prompting import PairPrompts
from duet_training.settings.run import Settings
from duet_training.verl_backend.policy import Policy


def validate(
    settings: Settings,
    policies: Mapping[str, Policy],
    prompts: PairPrompts,
    verifiers: Verifiers,
    sets: Mapping[str, Sequence[Problem]],
    step: int,
) -> dict[str, float]:
    """Accuracy, and mean tokens of signal, response and (of a split) answer.

    The figures are of all questions (`validation/accuracy`) and of each set that has a name
    (`validation/NAME/accuracy`); all sets are answered at once. Every validation draws with the
    same seeds. The reasoner is sampled at `validate.temperature`, the decoder greedily; limits of
    single steps (ThinkPrune) do not apply.
    """
    problems = [problem for held_out in sets.values() for problem in held_out]
    sampling = settings.sampling(1, ())
    how = {
        "reasoner": replace(sampling, temperature=settings.validate_.temperature),
        "decoder": replace(sampling, temperature=0.0),
    }
    models = Serving(policies, prompts, settings.tokens, how, settings.seed, step)
    outcomes = METHODS[settings.method](settings).answer(models, problems)
    scores = verifiers.score(problems, [outcome.answer for outcome in outcomes])
    figures: dict[str, Sequence[float]] = {
        "accuracy": scores.tolist(),
        "signal_tokens": [outcome.signal_tokens for outcome in outcomes],
        "response_tokens": [outcome.reasoner_tokens for outcome in outcomes],
    }
    if "decoder" in settings.policies:
        figures["answer_tokens"] = [outcome.decoder_tokens for outcome in outcomes]
    found = {f"validation/{name}": float(np.mean(values)) for name, values in figures.items()}
    first = 0
    for name, held_out in sets.items():
        rows = slice(first, first := first + len(held_out))
        if name:
            for figure, values in figures.items():
                found[f"validation/{name}/{figure}"] = float(np.mean(values[rows]))
    return found
