"""Measures the dense reward of a step's signals: one forward pass of the decoder."""

from collections.abc import Sequence
from itertools import repeat

from duet_training.data.rows import Problem
from duet_training.errors import DataError
from duet_training.objective.dense import DenseScores, log_likelihoods
from duet_training.objective.rewards import Array
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.sampling import Samples
from duet_training.verl_backend.generation import Response
from duet_training.verl_backend.policy import Policy

ANSWER = "ANSWER"
"""Where the reference goes in `objective.dense_answer`."""


def dense_scores(
    decoder: Policy,
    samples: Samples,
    prompts: PairPrompts,
    *,
    answer: str,
    limit: int,
    ranks: int,
    each_answer: bool,
) -> DenseScores:
    """Compute log p_m(y* | x, z) and log p_m(y* | x) of a step's signals.

    Args:
        decoder: m as it is before the step's update.
        samples: of the step.
        prompts: the pair's.
        answer: y* with `ANSWER` for the reference.
        limit: most tokens of y*.
        ranks: workers of the decoder, which share the rows evenly.
        each_answer: whether the answers to a signal read different prefixes of it; if not, one
            of them stands for all.

    Raises:
        DataError: a reference is longer than an answer may be.
    """
    questions, signals, answers = samples.guided.shape
    wanted = [_reference(prompts, problem, answer, limit) for problem in samples.problems]
    reads = samples.guided_prompts
    distinct = answers if each_answer else 1
    guided = [reads[i + j] for i in range(0, len(reads), answers) for j in range(distinct)]
    alone = [prompts.alone(problem.for_decoder) for problem in samples.problems]
    rows = [each for each in wanted for _ in repeat(None, signals * distinct)]
    found = _log_likelihoods(decoder, [*guided, *alone], [*rows, *wanted], ranks)
    with_signal = found[: len(guided)].reshape(questions, signals, distinct).mean(axis=2)
    without = found[len(guided) :].reshape(questions, 1).repeat(signals, axis=1)
    return DenseScores(with_signal, without)


def _reference(prompts: PairPrompts, problem: Problem, answer: str, limit: int) -> list[int]:
    ids = prompts.whole_answer(answer.replace(ANSWER, problem.answer))
    if len(ids) > limit:
        raise DataError(
            f"the reference of {problem.id} has {len(ids)} tokens, tokens.answer is {limit}: raise "
            "it, or leave the problem out"
        )
    return ids


def _log_likelihoods(
    decoder: Policy, prompts: Sequence[list[int]], answers: Sequence[list[int]], ranks: int
) -> Array:
    """Log-likelihood of each answer to its prompt, (N,); the last row fills the ranks."""
    more = -len(prompts) % ranks
    asked = [*prompts, *repeat(prompts[-1], more)]
    given = [Response(ids, [], True) for ids in (*answers, *repeat(answers[-1], more))]
    log_probs = decoder.log_probs(decoder.batch(asked, given))
    return log_likelihoods([row.numpy() for row in log_probs.unbind()])[: len(prompts)]
