"""A baseline at work: the reasoner answers by itself, and learns from that alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from duet_training.data.rows import Problem
from duet_training.evaluation.verifiers import Verifier
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.algorithm import StepResult
from duet_training.rl.baselines import Baseline
from duet_training.rl.sampling import OwnAnswers, each, sample_responses, score, seeds
from duet_training.rl.timing import Clock
from duet_training.rl.updates import update_alone
from duet_training.settings.run import Settings
from duet_training.verl_backend.policy import Policy


class SingleAlgorithm:
    """See `duet_training.rl.algorithm.Algorithm`. Answers are read from whole responses, as in evaluation."""

    def __init__(
        self,
        baseline: Baseline,
        settings: Settings,
        policies: Mapping[str, Policy],
        prompts: PairPrompts,
        verifiers: dict[str, Verifier],
    ) -> None:
        self._baseline, self._settings = baseline, settings
        self._reasoner, self._prompts = policies["reasoner"], prompts
        self._verifiers = verifiers
        self._sampling = settings.sampling(settings.tokens.response, prompts.end_of_text)
        self.priced = baseline.priced

    def step(self, problems: list[Problem], step: int, price: float, clock: Clock) -> StepResult:
        """See `Algorithm`."""
        samples = self._draw(problems, step, clock)
        update = update_alone(self._reasoner, samples, self._baseline, self._settings, price, clock)
        return StepResult(update, float(samples.right.mean()), self._examples(samples))

    def _draw(self, problems: list[Problem], step: int, clock: Clock) -> OwnAnswers:
        settings, prompts, signals = self._settings, self._prompts, self._settings.batch.signals
        rows = each(problems, signals)
        asked = [prompts.reasoner(problem.for_reasoner) for problem in rows]
        limit = min(self._sampling.tokens, self._baseline.limit(step) or self._sampling.tokens)
        numbers = seeds(settings.seed, step, 0, len(rows))
        sampling = replace(self._sampling, tokens=limit)
        responses = sample_responses(self._reasoner, asked, sampling, numbers, step, clock)
        with clock("score"):
            texts = [prompts.response_text(response.tokens) for response in responses]
            right = score(self._verifiers, rows, texts).reshape(len(problems), signals)
        cut_out = [prompts.signal(response.tokens) for response in responses]
        return OwnAnswers(problems, asked, responses, cut_out, right, limit)

    def _examples(self, samples: OwnAnswers) -> list[dict[str, Any]]:
        """The first responses of the step."""
        signals = self._settings.batch.signals
        return [
            {
                "question": samples.problems[i // signals].question,
                "reference": samples.problems[i // signals].answer,
                "signal": self._prompts.signal_text(samples.signals[i]),
                "response": self._prompts.response_text(samples.responses[i].tokens),
                "score": float(samples.right[i // signals, i % signals]),
            }
            for i in range(min(self._settings.samples, len(samples.responses)))
        ]
