"""Each method's learning rate, chosen on validation questions that no comparison uses again."""

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


def tried(results: Results, method: str, rate: str) -> tuple[float, float, float]:
    """Validation accuracy and tokens at the end, and the former less what these tokens cost.

    Raises:
        DataError: the rate's result is not there.
    """
    curves = results.read(stage_of(method, rate))["result"]["curves"]
    accuracy, tokens = (
        float(curves[f"validation/{name}"][-1][1]) for name in ("accuracy", "response_tokens")
    )
    return accuracy, tokens, accuracy - WORTH * tokens / curves["tokens/response"][0][1]


def chosen(results: Results, method: str) -> str:
    """The rate that was worth most among those tried.

    Raises:
        DataError: a rate's result is not there.
    """
    return max(RATES, key=lambda rate: tried(results, method, rate)[-1])
