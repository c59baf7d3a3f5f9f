"""Joint training: one loop over steps, each of them sampling, the decoder's update, the reasoner's.

The two models' rollout servers are never awake together, nor while a model trains, so that all of
them fit into the same memory.
"""

from contextlib import suppress
from pathlib import Path

import ray

from training.checkpoints import Checkpoints, State, load_policies
from training.checks import agree, finite, nothing_solved
from training.cluster import make_pools, start_ray
from training.data.lengths import fitting
from training.data.rows import Problem, read_rows
from training.errors import ConfigError, DivergenceError
from training.journal import Journal
from training.learning import update_decoder, update_reasoner
from training.order import problems_of_step
from training.pair import load_pair
from training.policy import Policy, Sampling
from training.prompting import PairPrompts
from training.sampling import Sampler
from training.settings import Settings
from training.timing import Clock
from training.validation import validate
from training.verifiers import Verifier, make_verifier
from training.verl_config import policy_config


class Trainer:
    """A run. Everything that can be wrong with its input is found before Ray starts."""

    def __init__(self, settings: Settings) -> None:
        """Reads pair and data, checks the verifiers, starts both policies, loads a checkpoint.

        Raises:
            TrainingError: anything wrong with settings, pair, data, verifiers or checkpoint.
        """
        self.settings = settings
        pair = load_pair(settings.pair)
        self._prompts = PairPrompts(pair)
        settings.out.mkdir(parents=True, exist_ok=True)
        checkpoints = settings.out / "checkpoints"
        keep = settings.checkpoint.keep
        self._checkpoints = Checkpoints(checkpoints, settings.binding(), keep)
        found = self._checkpoint()
        self.problems = self._read(settings.data.train)
        self._held_out: list[Problem] = []
        if settings.data.validation and settings.validate_.every:
            self._held_out = self._read(settings.data.validation)[: settings.validate_.questions]
        problems_of_step(self.problems, 1, settings.batch.questions, settings.seed)
        self._verifiers = self._make_verifiers()
        paths = {"reasoner": str(pair.reasoner.path), "decoder": str(pair.decoder.path)}
        configs = {name: policy_config(settings, name, path) for name, path in paths.items()}
        start_ray(settings.hardware)
        pools = make_pools(settings.hardware)
        self.policies: dict[str, Policy] = {}
        for name, pool in pools.items():
            self.policies[name] = Policy(
                name,
                configs[name],
                pool,
                reference=name == "reasoner" and settings.objective.kl.coefficient > 0,
                temperature=settings.temperature,
            )
        for policy in self.policies.values():
            policy.start()
        self.state = State(0, settings.objective.price.start)
        if found:
            self.state, directory = found
            load_policies(directory, self.policies)
        config = settings.model_dump(mode="json", by_alias=True)
        self._journal = Journal(
            settings.out, settings.steps, self.state.step, settings.track, config
        )
        self._signal, self._answer = self._samplings()
        self._sampler = Sampler(
            self.policies["reasoner"],
            self.policies["decoder"],
            self._prompts,
            self._verifiers,
            signal=self._signal,
            answer=self._answer,
            decoder_prompt=settings.tokens.decoder_prompt,
        )

    def _checkpoint(self) -> tuple[State, Path] | None:
        if self.settings.resume:
            return self._checkpoints.last()
        if self._checkpoints.steps():
            raise ConfigError(
                f"{self.settings.out} holds a run already: go on with resume=true, or choose "
                "another `out`"
            )
        return None

    def _make_verifiers(self) -> dict[str, Verifier]:
        names = {problem.verifier for problem in [*self.problems, *self._held_out]}
        data = self.settings.data
        return {
            name: make_verifier(name, data.verifier_processes, data.verifier_seconds)
            for name in sorted(names)
        }

    def _read(self, file: Path) -> list[Problem]:
        kept, too_long = fitting(read_rows(file), self._prompts, self.settings.data.max_prompt)
        note = f", {too_long} left out: longer than {self.settings.data.max_prompt} tokens"
        print(f"{file.name}: {len(kept)} problems{note if too_long else ''}", flush=True)
        return kept

    def _samplings(self) -> tuple[Sampling, Sampling]:
        settings, prompts = self.settings, self._prompts
        stops = prompts.end_of_text
        if settings.objective.stop_at_end_of_reasoning:
            stops = [*stops, prompts.end_of_reasoning]
        signal = Sampling(settings.tokens.response, settings.temperature, tuple(stops))
        answer = Sampling(
            settings.tokens.answer, settings.temperature, tuple(prompts.end_of_answer)
        )
        return signal, answer

    def run(self) -> State:
        """All steps that are left; returns where the run stands.

        Raises:
            TrainingError: a check failed; the last good checkpoint stays.
        """
        while self.state.step < self.settings.steps:
            self.step()
            step = self.state.step
            if step % self.settings.checkpoint.every == 0 or step == self.settings.steps:
                self._checkpoints.save(self.state, self.policies)
        return self.state

    def step(self) -> dict[str, float]:
        """One joint step; returns its metrics."""
        settings, step, clock = self.settings, self.state.step + 1, Clock()
        batch = settings.batch
        problems = problems_of_step(self.problems, step, batch.questions, settings.seed)
        samples = self._sampler.draw(
            problems, batch.signals, batch.answers, run=settings.seed, step=step, clock=clock
        )
        metrics = update_decoder(self.policies["decoder"], samples, settings, clock)
        learnt = update_reasoner(
            self.policies["reasoner"], samples, settings, self.state.price, clock
        )
        metrics |= learnt.metrics
        metrics["price"] = self.state.price
        every = settings.validate_.every
        if self._held_out and (step % every == 0 or step == settings.steps):
            with clock("validation"):
                metrics |= self._validate(step)
        metrics |= clock.seconds()
        finite(metrics, step)
        self._alarms(metrics, step)
        price = settings.objective.schedule().next(self.state.price, learnt.mean_length)
        self.state = State(step, price)
        self._journal.samples(step, samples, self._prompts, settings.samples)
        self._journal.step(step, metrics)
        return metrics

    def _alarms(self, metrics: dict[str, float], step: int) -> None:
        checks = self.settings.checks
        for name in self.policies:
            difference = metrics[f"{name}/log_prob_difference"]
            alarm = agree(name, difference, checks.log_prob_tolerance)
            if alarm and checks.on_disagreement == "stop":
                raise DivergenceError(f"step {step}: {alarm}")
            if alarm:
                self._journal.warn(alarm)
        warning = nothing_solved(metrics["reward/guided"], step, self.settings.batch.questions)
        if warning:
            self._journal.warn(warning)

    def _validate(self, step: int) -> dict[str, float]:
        return validate(
            self.policies["reasoner"],
            self.policies["decoder"],
            self._prompts,
            self._verifiers,
            self._held_out,
            signal=self._signal,
            answer=self._answer,
            decoder_prompt=self.settings.tokens.decoder_prompt,
            step=step,
        )

    def close(self) -> None:
        """Stops verifiers and Ray."""
        for verifier in self._verifiers.values():
            with suppress(Exception):
                verifier.close()
        ray.shutdown()
