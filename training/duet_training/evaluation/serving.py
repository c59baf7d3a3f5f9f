"""Models as evaluation's methods see them: prompts in, responses out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duet_training.pair.prompting import PairPrompts
from duet_training.rl.sampling import fit_signal, seeds
from duet_training.settings.run import Tokens
from duet_training.verl_backend.generation import Response, Sampling
from duet_training.verl_backend.policy import Policy


@dataclass
class Serving:
    """The started policies behind `Models`."""

    policies: Mapping[str, Policy]
    """Policies by name, "reasoner" and "decoder"."""
    prompts: PairPrompts
    """Prompts of the pair."""
    tokens: Tokens
    """Limits in tokens."""
    how: Mapping[str, Sampling]
    """Temperature, top_p and top_k of each model, as a `Sampling` without limit and stops."""
    seed: int
    """Seed of the evaluation; with `run` and `calls` it makes the seed of each call."""
    step: int = 0
    """Of the training whose weights are sampled."""
    run: int = 0
    """Number of the present run over the questions, from 0."""
    calls: int = 0
    """Number of calls in the present run."""

    def begin(self, run: int) -> None:
        """Begins a run: the same calls draw other samples than in another run."""
        self.run, self.calls = run, 0

    def reason(
        self, prompts: Sequence[list[int]], limit: int | None = None, *, to_end: bool = True
    ) -> list[Response]:
        """See `Models`."""
        tokens = limit or self.tokens.response
        stops = self.prompts.end_of_text
        if not to_end:
            stops = [*stops, self.prompts.end_of_reasoning]
        return self._generate("reasoner", prompts, tokens, stops)

    def decode(self, prompts: Sequence[list[int]]) -> list[Response]:
        """See `Models`."""
        return self._generate("decoder", prompts, self.tokens.answer, self.prompts.end_of_answer)

    def guided_prompt(self, question: str, signal: list[int]) -> list[int]:
        """See `Models`."""
        return fit_signal(self.prompts, question, signal, self.tokens.decoder_prompt)[0]

    def _generate(
        self, name: str, prompts: Sequence[list[int]], tokens: int, stops: Sequence[int]
    ) -> list[Response]:
        if not prompts:
            return []
        self.calls += 1
        how, policy = self.how[name], self.policies[name]
        sampling = Sampling(tokens, how.temperature, tuple(stops), how.top_p, how.top_k)
        policy.to_rollout(self.step)
        numbers = seeds(self.seed, self.run, self.calls, len(prompts))
        responses = policy.sample(prompts, sampling, numbers)
        policy.rest()
        return responses
