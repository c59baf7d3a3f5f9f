"""Checkpoints of a run: written atomically, and only read by the run that wrote them.

`OUT/checkpoints/step_N/` holds `reasoner/`, `decoder/` (VERL's shards: weights, optimizer,
schedule, random state) and `state.json` (step, lambda, settings, digest of the data). Data order and
sampling seeds are functions of the run's seed and the step, so an exact resume needs nothing else.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from duet_contract.json_data import json_text, parse_json, read_json
from duet_training.errors import CheckpointError, last_line
from duet_training.files import steps_saved, write_json
from duet_training.rl.renamed import current_metrics, current_settings
from duet_training.settings.run import CheckpointSettings
from duet_training.verl_backend.cluster import ray_logs
from duet_training.verl_backend.policy import Policy


@dataclass(frozen=True)
class State:
    """The progress of a run."""

    step: int
    """Number of finished steps."""
    penalty: float
    """Length penalty (lambda) of the next step."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run."""

    directory: Path
    """Directory of the run."""
    binding: dict[str, Any]
    """`duet_training.settings.binding.binding` of the run."""
    settings: CheckpointSettings
    """When checkpoints are saved, and how many are kept."""
    data: str | None = None
    """`content_digest` of the run's training data; None: not compared."""

    def save(self, state: State, policies: dict[str, Policy]) -> Path:
        """Write a checkpoint to a temporary directory, then rename it, so that it is never partial.

        Raises:
            CheckpointError: The checkpoint cannot be written, for example because the disk is full.
                Older checkpoints do not change.
        """
        target = self.directory / f"step_{state.step}"
        partial = self.directory / f"step_{state.step}.partial"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for name, policy in policies.items():
                policy.save(partial / name, state.step)
            content = {"step": state.step, "lambda": state.penalty, "settings": self.binding}
            if self.data:
                content["data"] = self.data
            write_json(partial / "state.json", content, indent=2)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        except Exception as error:  # torch reports a full disk as RuntimeError, Ray wraps either
            room = self._room()
            shutil.rmtree(partial, ignore_errors=True)
            raise CheckpointError(
                f"cannot save step {state.step} to {self.directory}{room}: "
                f"{last_line(error)}; {self._last_good()}{logs(error)}"
            ) from error
        for old in self.steps()[: -self.settings.keep]:
            if old not in self.settings.milestones:
                shutil.rmtree(self.directory / f"step_{old}", ignore_errors=True)
        return target

    def steps(self) -> list[int]:
        """List the steps that have a checkpoint, ascending."""
        return steps_saved(self.directory)

    def last(self) -> tuple[State, Path] | None:
        """Return the newest checkpoint, or None without a checkpoint.

        Raises:
            CheckpointError: It belongs to other settings, which are named, or other training data, or
                cannot be read.
        """
        if not self.steps():
            return None
        directory = self.directory / f"step_{self.steps()[-1]}"
        try:
            content = read_json(directory / "state.json")
            metrics = current_metrics(content)
            state = State(int(metrics["step"]), float(metrics["lambda"]))
            theirs = current_settings(content["settings"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"cannot read {directory / 'state.json'}: {error!r}") from error
        ours = parse_json(json_text(self.binding))
        if "hardware" not in theirs:  # of a version that did not bind it
            ours.pop("hardware", None)
        ours, theirs = _flat(ours), _flat(theirs)
        differing = [
            f"{key} is {theirs.get(key)!r} there and {ours.get(key)!r} here"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]
        if differing:
            raise CheckpointError(
                f"{directory} belongs to another configuration: {'; '.join(differing)}"
            )
        if self.data and content.get("data", self.data) != self.data:
            raise CheckpointError(
                f"{directory} belongs to other training data: {theirs['data.train']} has changed "
                "since; prepare it again as it was, or begin another run"
            )
        return state, directory

    def _room(self) -> str:
        """Describe the free disk space: torch's error on a full disk does not mention the disk."""
        try:
            return f" ({shutil.disk_usage(self.directory).free / 2**30:.1f} GiB free)"
        except OSError:
            return ""

    def _last_good(self) -> str:
        steps = self.steps()
        return (
            f"the last good checkpoint is of step {steps[-1]}"
            if steps
            else "there is no checkpoint yet"
        )


def logs(error: Exception) -> str:
    """Name Ray's logs if a worker raised the error."""
    return f"; {ray_logs()}" if isinstance(error, RayError) else ""


def load_policies(
    directory: Path, policies: dict[str, Policy], *, weights_only: bool = False
) -> None:
    """Load a checkpoint's weights and, unless `weights_only`, optimizers into the policies.

    Weights alone are read by any number of ranks.

    Raises:
        CheckpointError: A file is missing or damaged.
    """
    for name, policy in policies.items():
        try:
            if weights_only:
                policy.load_weights(directory / name)
            else:
                policy.load(directory / name)
        except Exception as error:  # torch and Ray raise many types for a damaged file
            text = f"cannot load {directory / name}: {last_line(error)}{logs(error)}"
            raise CheckpointError(text) from error


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
