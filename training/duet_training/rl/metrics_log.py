"""Writes and reads a run's output: progress, metrics, samples."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from duet_contract.json_data import json_text, parse_json, without_infinities
from duet_training.errors import ConfigError, DataError, one_line
from duet_training.files import write_text
from duet_training.rl.renamed import current_metrics


class MetricsLog:
    """Writes `metrics.jsonl` and `samples.jsonl` in the run's directory, and VERL's `Tracking`."""

    def __init__(
        self, out: Path, steps: int, done: int, track: tuple[str, ...], config: dict[str, Any]
    ) -> None:
        from verl.utils.tracking import Tracking

        self._steps, self._first, self._started = steps, done, time.monotonic()
        self._metrics, self._samples = out / "metrics.jsonl", out / "samples.jsonl"
        for file in (self._metrics, self._samples):
            _keep_until(file, done)
        os.environ["TENSORBOARD_DIR"] = str(out / "tensorboard")
        os.environ.setdefault("WANDB_DIR", str(out))
        # VERL looks for its own trainer's settings in the configuration for W&B.
        shown = {"trainer": {}, **config}
        try:
            self._tracking = Tracking("duet", out.name, list(track), shown) if track else None
        except Exception as error:  # W&B's own errors: no key, no network
            raise ConfigError(
                f"cannot track with {', '.join(track)}: {one_line(error)}; W&B works without a "
                "network with WANDB_MODE=offline"
            ) from error

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record one step, and print a line with the remaining time."""
        _append(self._metrics, {"step": step, **metrics})
        if self._tracking:
            self._tracking.log(dict(metrics), step)
        done = step - self._first
        left = (time.monotonic() - self._started) / done * (self._steps - step)
        parts = [f"step {step}/{self._steps}"]
        rewards = {key: metrics.get(f"reward/{key}") for key in ("guided", "alone", "right")}
        parts += [f"{key} {value:.3f}" for key, value in rewards.items() if value is not None]
        parts.append(f"length {metrics['tokens/length']:.0f}")
        parts.append(f"lambda {metrics['lambda']:.4f}")
        parts.append(f"kl {metrics['reasoner/kl']:.4f}")
        if "validation/accuracy" in metrics:
            parts.append(f"accuracy {metrics['validation/accuracy']:.3f}")
        parts += [f"{metrics['seconds/step']:.1f} s", f"{_clock(left)} left"]
        print("  ".join(parts), flush=True)

    def samples(self, step: int, examples: Sequence[Mapping[str, Any]]) -> None:
        """Write the samples of a few questions of the step."""
        for example in examples:
            _append(self._samples, {"step": step, **example})

    def close(self) -> None:
        """Flush and end tracking."""
        if self._tracking:
            self._tracking.finish()


def read_metrics_log(file: Path) -> list[dict[str, Any]]:
    """Read the rows of a run's `metrics.jsonl` or `samples.jsonl`, as this version names metrics.

    A partial last row is skipped: the run is still writing, or was killed.

    Raises:
        DataError: The file cannot be read, or another row is not JSON.
    """
    try:
        # Not `splitlines`: models' output may contain other line separators. Bytes, because a
        # partial row may end within a character.
        *lines, last = file.read_bytes().split(b"\n")
        rows = [parse_json(line, finite=False) for line in lines]
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {one_line(error)}") from error
    with suppress(ValueError):
        rows.append(parse_json(last, finite=False))
    return [current_metrics(row) for row in rows]


def warn(text: str) -> None:
    """Print a warning to the terminal."""
    print(f"WARNING: {text}", flush=True)


def _append(file: Path, row: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json_text(without_infinities(row), ensure_ascii=False) + "\n")


def _keep_until(file: Path, step: int) -> None:
    """Drop partial rows, and rows after `step`, which a resumed run repeats."""
    if file.is_file():
        # Not `splitlines`: what models write may hold other separators of lines.
        rows = file.read_text("utf-8", errors="replace").split("\n")
        kept = [row for row in rows if (number := _step_of(row)) is not None and number <= step]
        write_text(file, "".join(f"{row}\n" for row in kept))


def _step_of(row: str) -> int | None:
    try:
        return int(parse_json(row, finite=False)["step"])
    except (ValueError, KeyError, TypeError):
        return None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
