r"""The dense reward: how likely the reference is to the decoder, in place of sampled answers.

    r_Mm(z) = log p_m(y* | x, z)        r_m = log p_m(y* | x)

y* is the reference as the decoder ends its answers with it, `\boxed{204}` and the end token by
default. r_Mm - r_m is then the information in nats that the signal holds about the reference. As in
RLT (arXiv 2506.08388) there is one value a signal instead of four samples of 0 or 1, and signals of
one question hardly ever tie. It is a log-probability of the whole y*, not of its mean token. One
forward pass of the decoder measures a step's signals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from duet_training.data.rows import Problem
from duet_training.errors import DataError
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.objective.rewards import Array, UtilityBaseline
from duet_training.rl.sampling import Samples
from duet_training.verl_backend.generation import Response
from duet_training.verl_backend.policy import Policy


@dataclass(frozen=True)
class DenseScores:
    """Log-likelihoods of the reference in nats, each (Q, S)."""

    guided: Array
    """r_Mm: with the signal; where answers read several prefixes of it, the mean over them."""
    alone: Array
    """r_m: without a signal; the same for all signals of a question."""

    def baseline(self, kind: UtilityBaseline) -> Array:
        """Return r_m as the utility's baseline: zeros for `none`."""
        return np.zeros_like(self.alone) if kind is UtilityBaseline.NONE else self.alone


def log_likelihoods(log_probs: Sequence[NDArray[np.float32]]) -> Array:
    """Sum the log-probs of each row's tokens in float64, (N,)."""
    return np.array([np.asarray(row, dtype=np.float64).sum() for row in log_probs])


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
    """Compute log p_m(y* | x, z) and log p_m(y* | x) of a step's signals, before the decoder's update.

    `answer` is y* with `ANSWER` for the reference, of at most `limit` tokens; so many `ranks` share the
    rows evenly. Unless answers to a signal read different prefixes of it (`each_answer`), one of them
    stands for all.

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


def check_references(
    problems: Sequence[Problem], prompts: PairPrompts, answer: str, limit: int
) -> None:
    """Check before a run what `dense_scores` needs in each step.

    Raises:
        DataError: See `dense_scores`.
    """
    for problem in problems:
        _reference(prompts, problem, answer, limit)


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
