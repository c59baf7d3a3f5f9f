"""Each method's learning rate, chosen on validation questions that no comparison uses again."""

from typing import Any

from duet_training.experiments.results import Results

RATES = ("1e-4", "2e-4")
# Of the runs that choose; no comparison has it.
TRIED_SEED = 100
# What a token share is worth in accuracy when rates are compared: a run that saves all tokens may
# lose a tenth of its answers. The same for every method.
WORTH = 0.1


def stage_of(method: str, rate: str) -> str:
    """The stage that tries a rate."""
    return f"rate-{method}-{rate}"


def worth(result: dict[str, Any]) -> float:
    """Validation accuracy at the end, less what the tokens cost that are still spent."""
    curves = result["curves"]
    accuracy = curves["validation/accuracy"][-1][1]
    tokens = curves["validation/response_tokens"][-1][1]
    return float(accuracy - WORTH * tokens / curves["tokens/response"][0][1])


def chosen(results: Results, method: str) -> str:
    """The rate that was worth most among those tried.

    Raises:
        DataError: a rate's result is not there.
    """
    tried = {rate: worth(results.read(stage_of(method, rate))["result"]) for rate in RATES}
    return max(tried, key=lambda rate: tried[rate])
