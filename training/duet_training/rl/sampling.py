"""One step's samples: signals, guided answers, answers without a signal, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from duet_training.data.rows import Problem
from duet_training.errors import DataError
from duet_training.evaluation.scoring import Verifiers
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.objective.reads import Read, prefix_lengths
from duet_training.rl.timing import Clock
from duet_training.verl_backend.generation import Response, Sampling
from duet_training.verl_backend.policy import Policy

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """Q questions, S signals each, A answers to a signal; lists are flat in that order."""

    problems: list[Problem]
    """The Q problems."""
    signal_prompts: list[list[int]]
    """Token ids of the reasoner's prompt, for each signal."""
    signal_responses: list[Response]
    """The reasoner's response, for each signal."""
    signals: list[list[int]]
    """Token ids of each signal."""
    guided_prompts: list[list[int]]
    """Token ids of the decoder's prompt with the signal, for each answer."""
    guided_responses: list[Response]
    """The decoder's response with the signal, for each answer."""
    alone_prompts: list[list[int]]
    """Token ids of the decoder's prompt without a signal, for each answer."""
    alone_responses: list[Response]
    """The decoder's response without a signal, for each answer."""
    guided: Array
    """Scores (Q, S, A) of answers with a signal."""
    alone: Array
    """Scores (Q, S, A) of answers without a signal; A is 0 if none were sampled."""
    cut: int
    """Number of answers whose signal did not fit into the decoder's prompt and lost its end."""


@dataclass(frozen=True)
class OwnAnswers:
    """Q questions, S responses each by the reasoner alone; lists are flat in that order."""

    problems: list[Problem]
    """The Q problems."""
    prompts: list[list[int]]
    """Token ids of the reasoner's prompt, for each response."""
    responses: list[Response]
    """The reasoner's responses."""
    signals: list[list[int]]
    """Token ids of the reasoning in each response."""
    right: Array
    """Scores (Q, S)."""
    limit: int
    """Most tokens that a response could have."""


def seeds(run: int, step: int, stream: int, count: int) -> list[int]:
    """`count` seeds for one use in one step of one run; the same whenever they are asked for."""
    sequence = np.random.SeedSequence([run, step, stream])
    return [int(seed) for seed in sequence.generate_state(count, np.uint32)]


def fit_signal(
    prompts: PairPrompts, question: str, signal: list[int], limit: int
) -> tuple[list[int], bool]:
    """Build the decoder's prompt, and report whether `limit` truncated the signal.

    Raises:
        DataError: the question alone does not fit.
    """
    prompt = prompts.guided(question, signal)
    cut = False
    while len(prompt) > limit:
        if not signal:
            raise DataError(f"a question does not fit into tokens.decoder_prompt ({limit})")
        signal, cut = signal[: -max(1, len(prompt) - limit)], True
        prompt = prompts.guided(question, signal)
    return prompt, cut


def each(items: Sequence[Problem], times: int) -> list[Problem]:
    """Every item `times` times in a row."""
    return [item for item in items for _ in repeat(None, times)]


def sample_responses(
    policy: Policy,
    prompts: list[list[int]],
    sampling: Sampling,
    numbers: list[int],
    step: int,
    clock: Clock,
) -> list[Response]:
    """Sample responses of the current policy: update its servers' weights, then let them sleep."""
    with clock("weights"):
        policy.to_rollout(step)
        policy.check_in_sync()
    with clock("generate"):
        responses = policy.sample(prompts, sampling, numbers)
    with clock("weights"):
        policy.rest()
    return responses


@dataclass(frozen=True)
class Sampler:
    """Draws what a step learns from."""

    reasoner: Policy
    """Policy of the reasoner."""
    decoder: Policy
    """Policy of the decoder."""
    prompts: PairPrompts
    """Prompts of the pair."""
    verifiers: Verifiers
    """Verifiers of the problems."""
    signal: Sampling
    """How signals are sampled."""
    answer: Sampling
    """How answers are sampled."""
    decoder_prompt: int
    """Most tokens of the decoder's prompt."""
    read: Read = Read.WHOLE
    """What the decoder reads of a signal."""
    answers_alone: bool = True
    """Whether answers to the question alone are sampled, too."""

    def draw(
        self,
        problems: list[Problem],
        signals: int,
        answers: int,
        *,
        run: int,
        step: int,
        clock: Clock,
    ) -> Samples:
        """Signals, then the guided answers and the answers alone in one go."""
        prompts, per_signal = self.prompts, each(problems, signals)
        signal_prompts = [prompts.reasoner(problem.for_reasoner) for problem in per_signal]
        first = seeds(run, step, 0, len(per_signal))
        responses = sample_responses(self.reasoner, signal_prompts, self.signal, first, step, clock)
        cut_out = [prompts.signal(response.tokens) for response in responses]
        read = self._readings(cut_out, answers, [run, step, 2])
        per_answer = each(per_signal, answers)
        fitted = [
            fit_signal(prompts, problem.for_decoder, signal, self.decoder_prompt)
            for problem, signal in zip(per_answer, read, strict=True)
        ]
        guided = [prompt for prompt, _ in fitted]
        asked, rows = list(guided), list(per_answer)
        if self.answers_alone:
            asked += [prompts.alone(problem.for_decoder) for problem in per_answer]
            rows += per_answer
        second = seeds(run, step, 1, 2 * len(guided))[: len(asked)]
        answered = sample_responses(self.decoder, asked, self.answer, second, step, clock)
        with clock("score"):
            whole = [self.read is Read.WHOLE and each.finished for each in responses]
            known: list[tuple[list[int] | None, bool]] = [
                (signal, whole[at // answers]) for at, signal in enumerate(read)
            ]
            known += repeat((None, True), len(asked) - len(guided))
            texts = [
                prompts.answer(problem.for_decoder, signal, response.tokens, whole=ended)
                for problem, (signal, ended), response in zip(rows, known, answered, strict=True)
            ]
            scores = self.verifiers.score(rows, texts)
        shape = (len(problems), signals, -1)
        return Samples(
            problems=problems,
            signal_prompts=signal_prompts,
            signal_responses=responses,
            signals=cut_out,
            guided_prompts=guided,
            guided_responses=answered[: len(guided)],
            alone_prompts=asked[len(guided) :],
            alone_responses=answered[len(guided) :],
            guided=scores[: len(guided)].reshape(shape),
            alone=scores[len(guided) :].reshape(*shape[:2], answers if self.answers_alone else 0),
            cut=sum(was_cut for _, was_cut in fitted),
        )

    def _readings(
        self, signals: Sequence[list[int]], answers: int, seed: Sequence[int]
    ) -> list[list[int]]:
        """What each answer reads of its signal, flat in their order."""
        if self.read is Read.PREFIX:
            kept = prefix_lengths([len(signal) for signal in signals], answers, seed)
            return [
                signal[:count]
                for signal, row in zip(signals, kept.tolist(), strict=True)
                for count in row
            ]
        if self.read is Read.WITHHELD:
            signals = [self.prompts.withheld(signal) for signal in signals]
        return [signal for signal in signals for _ in range(answers)]
