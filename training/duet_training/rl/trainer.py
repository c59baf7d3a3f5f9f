"""The training loop, common to all methods: steps, monitors, checkpoints and the metrics log.

The two models' rollout servers are never awake at the same time or while a model trains, so that
they share the same memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import ray

from duet_training.data.rows import Problem, paths_of, read_rows
from duet_training.data.selection import (
    check_apart,
    check_decoder_prompts,
    content_digest,
    fitting,
    judged_by,
    problems_of_step,
)
from duet_training.errors import ClusterError, ConfigError, DivergenceError
from duet_training.evaluation.scoring import Verifiers
from duet_training.pair.description import Pair, load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.algorithms import Algorithm, DuetAlgorithm, SingleAlgorithm
from duet_training.rl.baselines import BASELINES
from duet_training.rl.checkpoints import Checkpoints, State, load_policies
from duet_training.rl.dense import check_references
from duet_training.rl.metrics_log import MetricsLog, warn
from duet_training.rl.monitors import agree, finite, nothing_to_learn
from duet_training.rl.timing import Clock
from duet_training.rl.validation import validate
from duet_training.settings.binding import binding
from duet_training.settings.run import Settings
from duet_training.verl_backend.cluster import worker_failed
from duet_training.verl_backend.policies import start_policies
from duet_training.verl_backend.policy import Policy


def train(settings: Settings) -> None:
    """Train a pair.

    Raises:
        TrainingError: Pair, data or settings have a fault, or training failed.
    """
    with started(settings, "; resume=true continues from the last checkpoint") as trainer:
        state = trainer.run()
    print(f"done: {state.step} steps in {settings.out}")


@contextmanager
def started(settings: Settings, advice: str = "") -> Iterator["Trainer"]:
    """Start a trainer that ends with the block, and Ray with it.

    Raises:
        ClusterError: A worker died or failed; `advice` follows the reason.
    """
    trainer = None
    try:
        trainer = Trainer(settings)
        yield trainer
    except ray.exceptions.RayError as error:
        when = f" in step {trainer.state.step + 1}" if trainer is not None else " at start"
        raise ClusterError(f"{worker_failed(error, when)}{advice}") from error
    finally:
        if trainer is not None:
            trainer.close()
        elif ray.is_initialized():
            ray.shutdown()


class Trainer:
    """A training run. It validates all input before Ray starts."""

    def __init__(self, settings: Settings) -> None:
        """Read pair and data, check the verifiers, start both policies, load a checkpoint.

        Raises:
            TrainingError: Settings, pair, data, verifiers or checkpoint have a fault.
        """
        self.settings = settings
        pair = load_pair(settings.pair)
        self._prompts = PairPrompts(pair)
        self._prompts.check_reward(settings.objective.reward)
        self.problems = self._read(settings.data.train)
        if settings.objective.reward == "dense":
            answer, limit = settings.objective.dense_answer, settings.tokens.answer
            check_references(self.problems, self._prompts, answer, limit)
        settings.out.mkdir(parents=True, exist_ok=True)
        self._checkpoints = Checkpoints(
            settings.out / "checkpoints",
            binding(settings),
            settings.checkpoint,
            content_digest(self.problems),
        )
        found = self._checkpoint()
        self._held_out: dict[str, list[Problem]] = {}
        if settings.validate_.every:
            for name, file in settings.data.held_out.items():
                problems = self._read(file)
                train = paths_of(settings.data.train)
                check_apart(self.problems, problems, file, " ".join(map(str, train)))
                self._held_out[name] = problems[: settings.validate_.questions]
        problems_of_step(self.problems, 1, settings.batch.questions, settings.seed)
        data = settings.data
        self._verifiers = Verifiers.of(
            [*self.problems, *chain.from_iterable(self._held_out.values())],
            data.verifier_processes,
            data.verifier_seconds,
            computed=self._prompts.computed,
        )
        self._log: MetricsLog | None = None
        try:
            self._start(pair, found)
        except BaseException:
            self.close()
            raise

    def _start(self, pair: Pair, found: tuple[State, Path] | None) -> None:
        settings = self.settings
        reference = settings.objective.kl.coefficient > 0
        self.policies: dict[str, Policy] = start_policies(
            settings, pair, settings.policies, reference=reference
        )
        self._algorithm = self._make_algorithm()
        # `objective.length_penalty` has no effect in a method without a length penalty.
        self.state = State(
            0, settings.objective.length_penalty.start if self._algorithm.uses_lambda else 0.0
        )
        if found:
            self.state, directory = found
            load_policies(directory, self.policies)
        config = settings.model_dump(mode="json", by_alias=True)
        self._log = MetricsLog(
            settings.out, settings.steps, self.state.step, settings.track, config
        )

    def _make_algorithm(self) -> Algorithm:
        settings, parts = self.settings, (self.policies, self._prompts, self._verifiers)
        if settings.method == "duet":
            return DuetAlgorithm(settings, *parts)
        return SingleAlgorithm(BASELINES[settings.method](settings), settings, *parts)

    def _checkpoint(self) -> tuple[State, Path] | None:
        if self.settings.resume:
            return self._checkpoints.last()
        if self._checkpoints.steps():
            raise ConfigError(
                f"{self.settings.out} holds a run already: continue it with resume=true, or choose "
                "another `out`"
            )
        return None

    def _read(self, files: Path | Sequence[Path]) -> list[Problem]:
        longest, problems = self.settings.data.max_prompt, []
        for file in paths_of(files):
            rows = judged_by(read_rows(file), self.settings.data.verifier)
            kept, too_long = fitting(rows, self._prompts, longest)
            if "decoder" in self.settings.policies:
                check_decoder_prompts(kept, self._prompts, self.settings.tokens.decoder_prompt)
            note = f", {too_long} left out: longer than {longest} tokens" if too_long else ""
            print(f"{file.name}: {len(kept)} problems{note}", flush=True)
            problems += kept
        return problems

    def run(self) -> State:
        """Run all remaining steps; return the state of the run.

        Raises:
            TrainingError: A monitor failed; the last good checkpoint is kept.
        """
        while self.state.step < self.settings.steps:
            self.step()
            step = self.state.step
            if self.settings.checkpoint.due(step, self.settings.steps):
                self.save()
        return self.state

    def save(self) -> None:
        """Write a checkpoint of the last step.

        Raises:
            CheckpointError: It cannot be written.
        """
        self._checkpoints.save(self.state, self.policies)

    def step(self) -> dict[str, float]:
        """Run one step; return its metrics."""
        settings, step, clock = self.settings, self.state.step + 1, Clock()
        problems = problems_of_step(self.problems, step, settings.batch.questions, settings.seed)
        done = self._algorithm.step(problems, step, self.state.penalty, clock)
        metrics = {**done.update.metrics, "lambda": self.state.penalty}
        every = settings.validate_.every
        if self._held_out and (step % every == 0 or step == settings.steps):
            with clock("validation"):
                metrics |= validate(
                    settings, self.policies, self._prompts, self._verifiers, self._held_out, step
                )
        metrics |= clock.seconds()
        finite(metrics, step)
        self._alarms(metrics, done.solved, step)
        penalty = self.state.penalty
        if self._algorithm.uses_lambda:
            penalty = settings.objective.next_penalty(penalty, done.update.mean_length)
        self.state = State(step, penalty)
        if self._log:
            self._log.samples(step, done.examples)
            self._log.step(step, metrics)
        return metrics

    def _alarms(self, metrics: dict[str, float], solved: float, step: int) -> None:
        checks = self.settings.checks
        for name in self.policies:
            alarm = agree(name, metrics, checks.log_prob_of, checks.log_prob_tolerance)
            if alarm and checks.on_disagreement == "stop":
                raise DivergenceError(f"step {step}: {alarm}")
            if alarm:
                warn(alarm)
        warning = nothing_to_learn(solved, step, self.settings.batch.questions)
        if warning:
            warn(warning)

    def close(self) -> None:
        """Stop tracking, verifiers and Ray."""
        with suppress(Exception):
            if self._log:
                self._log.close()
        with suppress(Exception):
            self._verifiers.close()
        ray.shutdown()
