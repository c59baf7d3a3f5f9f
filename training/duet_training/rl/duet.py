"""The joint method at work: signals, guided answers and answers alone; both models learn."""

from collections.abc import Mapping
from typing import Any

from duet_training.data.rows import Problem
from duet_training.evaluation.verifiers import Verifier
from duet_training.objective.reads import Read
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.algorithm import StepResult
from duet_training.rl.dense import dense_scores
from duet_training.rl.sampling import Sampler, Samples
from duet_training.rl.timing import Clock
from duet_training.rl.updates import Update, update_decoder, update_reasoner
from duet_training.settings.run import Settings
from duet_training.verl_backend.policy import Policy


class DuetAlgorithm:
    """See `duet_training.rl.algorithm.Algorithm`."""

    priced = True

    def __init__(
        self,
        settings: Settings,
        policies: Mapping[str, Policy],
        prompts: PairPrompts,
        verifiers: dict[str, Verifier],
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

    def step(self, problems: list[Problem], step: int, price: float, clock: Clock) -> StepResult:
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
        update = update_reasoner(self._policies["reasoner"], samples, settings, price, clock, dense)
        both = Update({**metrics, **update.metrics}, update.mean_length)
        return StepResult(both, float(samples.guided.mean()), self._examples(samples))

    def _examples(self, samples: Samples) -> list[dict[str, Any]]:
        """The first signals of the step, with one guided answer each."""
        _, signals, answers = samples.guided.shape
        return [
            {
                "question": samples.problems[i // signals].question,
                "reference": samples.problems[i // signals].answer,
                "signal": self._prompts.signal_text(samples.signals[i]),
                "response": self._prompts.response_text(samples.signal_responses[i].tokens),
                "answer": self._prompts.answer_text(samples.guided_responses[i * answers].tokens),
                "score": float(samples.guided[i // signals, i % signals][0]),
            }
            for i in range(min(self._settings.samples, len(samples.signals)))
        ]
