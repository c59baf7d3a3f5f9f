"""Methods at work: what a step samples, and what the models learn from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from duet_training.data.rows import Problem
from duet_training.evaluation.scoring import Verifiers
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.baselines import Baseline
from duet_training.rl.dense import dense_scores
from duet_training.rl.objective.reads import Read
from duet_training.rl.objective.rewards import Array
from duet_training.rl.sampling import (
    OwnAnswers,
    Sampler,
    Samples,
    each,
    sample_responses,
    seeds,
)
from duet_training.rl.timing import Clock
from duet_training.rl.updates import Update, update_alone, update_decoder, update_reasoner
from duet_training.settings.run import Settings
from duet_training.verl_backend.generation import Response
from duet_training.verl_backend.policy import Policy


@dataclass(frozen=True)
class StepResult:
    """The result of one step."""

    update: Update
    """What the step did to the weights."""
    solved: float
    """Share of right answers."""
    examples: list[dict[str, Any]]
    """Rows for `samples.jsonl`."""


class Algorithm(Protocol):
    """A method with its models."""

    uses_lambda: bool
    """Whether the method uses and updates the length penalty (lambda)."""

    def step(self, problems: list[Problem], step: int, penalty: float, clock: Clock) -> StepResult:
        """Sample answers to `problems` and update the models with them."""


class DuetAlgorithm:
    """See `duet_training.rl.algorithms.Algorithm`."""

    uses_lambda = True

    def __init__(
        self,
        settings: Settings,
        policies: Mapping[str, Policy],
        prompts: PairPrompts,
        verifiers: Verifiers,
    ) -> None:
        self._settings, self._policies, self._prompts = settings, policies, prompts
        tokens, ends = settings.tokens, list(prompts.end_of_text)
        if settings.objective.stop_at_end_of_reasoning:
            ends.append(prompts.end_of_reasoning)
        self._sampler = Sampler(
            policies["reasoner"],
            policies["decoder"],
            prompts,
            verifiers,
            signal=settings.sampling(tokens.response, ends),
            answer=settings.sampling(tokens.answer, prompts.end_of_answer),
            decoder_prompt=tokens.decoder_prompt,
            read=settings.objective.read,
            answers_alone=settings.objective.samples_alone,
        )

    def step(self, problems: list[Problem], step: int, penalty: float, clock: Clock) -> StepResult:
        """See `Algorithm`. The decoder learns first."""
        settings, batch = self._settings, self._settings.batch
        samples = self._sampler.draw(
            problems, batch.signals, batch.answers, run=settings.seed, step=step, clock=clock
        )
        dense = None
        if settings.objective.reward == "dense":
            with clock("log_probs"):
                dense = dense_scores(
                    self._policies["decoder"],
                    samples,
                    self._prompts,
                    answer=settings.objective.dense_answer,
                    limit=settings.tokens.answer,
                    ranks=settings.hardware.ranks_of("decoder"),
                    each_answer=settings.objective.read is Read.PREFIX,
                )
        metrics = update_decoder(self._policies["decoder"], samples, settings, clock)
        update = update_reasoner(
            self._policies["reasoner"], samples, settings, penalty, clock, dense
        )
        both = Update({**metrics, **update.metrics}, update.mean_length)
        return StepResult(both, float(samples.guided.mean()), self._examples(samples))

    def _examples(self, samples: Samples) -> list[dict[str, Any]]:
        """The first signals of the step, with one guided answer each."""
        signals, answers = samples.guided.shape[1:]
        answer = [
            self._prompts.answer(
                samples.problems[i // signals].for_decoder, signal, response.tokens
            )
            for i, (signal, response) in enumerate(
                zip(samples.signals, samples.guided_responses[::answers], strict=True)
            )
        ]
        return _examples(
            self._settings.samples,
            self._prompts,
            samples,
            samples.signal_responses,
            samples.guided[..., 0],
            answer=answer,
        )


class SingleAlgorithm:
    """See `duet_training.rl.algorithms.Algorithm`. Answers are read from whole responses, as in evaluation."""

    def __init__(
        self,
        baseline: Baseline,
        settings: Settings,
        policies: Mapping[str, Policy],
        prompts: PairPrompts,
        verifiers: Verifiers,
    ) -> None:
        self._baseline, self._settings = baseline, settings
        self._reasoner, self._prompts = policies["reasoner"], prompts
        self._verifiers = verifiers
        self._sampling = settings.sampling(settings.tokens.response, prompts.end_of_text)
        self.uses_lambda = baseline.uses_lambda

    def step(self, problems: list[Problem], step: int, penalty: float, clock: Clock) -> StepResult:
        """See `Algorithm`."""
        samples = self._draw(problems, step, clock)
        update = update_alone(
            self._reasoner, samples, self._baseline, self._settings, penalty, clock
        )
        count, responses = self._settings.samples, samples.responses
        examples = _examples(count, self._prompts, samples, responses, samples.right)
        return StepResult(update, float(samples.right.mean()), examples)

    def _draw(self, problems: list[Problem], step: int, clock: Clock) -> OwnAnswers:
        settings, prompts, signals = self._settings, self._prompts, self._settings.batch.signals
        rows = each(problems, signals)
        asked = [prompts.reasoner(problem.for_reasoner) for problem in rows]
        limit = min(self._sampling.tokens, self._baseline.limit(step) or self._sampling.tokens)
        numbers = seeds(settings.seed, step, 0, len(rows))
        sampling = replace(self._sampling, tokens=limit)
        responses = sample_responses(self._reasoner, asked, sampling, numbers, step, clock)
        with clock("score"):
            texts = [
                prompts.own_answer(problem.for_reasoner, response.tokens)
                for problem, response in zip(rows, responses, strict=True)
            ]
            right = self._verifiers.score(rows, texts).reshape(len(problems), signals)
        cut_out = [prompts.signal(response.tokens) for response in responses]
        return OwnAnswers(problems, asked, responses, cut_out, right, limit)


def _examples(
    count: int,
    prompts: PairPrompts,
    samples: Samples | OwnAnswers,
    responses: Sequence[Response],
    scores: Array,
    **texts: list[str],
) -> list[dict[str, Any]]:
    """Rows of the first `count` responses of the reasoner, with their scores (Q, S)."""
    signals = scores.shape[1]
    return [
        {
            "question": samples.problems[i // signals].question,
            "reference": samples.problems[i // signals].answer,
            "signal": prompts.signal_text(samples.signals[i]),
            "response": prompts.response_text(responses[i].tokens),
            **{name: each[i] for name, each in texts.items()},
            "score": float(scores[i // signals, i % signals]),
        }
        for i in range(min(count, len(responses)))
    ]
