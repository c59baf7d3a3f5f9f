"""Runs so small that real engines do them in seconds: a tiny random pair, data, settings."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from duet_training.pair.tiny import make_tiny_pair
from duet_training.rl.trainer import Trainer
from duet_training.settings.run import Settings, settings_from
from tests.doubles.commands import train_data as prepare

SMALL = [
    "steps=4",
    "batch.questions=2",
    "batch.signals=4",
    "batch.answers=2",
    "batch.mini_batch=1",
    "tokens.response=16",
    "tokens.answer=12",
    "tokens.decoder_prompt=160",
    "checkpoint.every=2",
    "validate.every=2",
    "validate.questions=4",
    "learning_rate.reasoner=1e-3",
    "learning_rate.decoder=1e-3",
    "objective.budget=12",
    "objective.length_penalty.rate=0.1",
]


def make_home(home: Path) -> None:
    """Writes two tiny pairs, and data whose answers random models get right now and then."""
    make_tiny_pair(home / "pair")
    make_tiny_pair(home / "unlike", alike=False)
    rows = [{"question": f"what is {i} + 2?", "answer": str(i + 2)} for i in range(30)]
    (home / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command = ["jsonl", "--from", str(home / "own.jsonl"), "--out", str(home / "data")]
    assert prepare([*command, "--verifier", "tests.doubles.verifiers:DigitVerifier"]) == 0


def overrides_of(home: Path, run: str, *more: str, pair: str = "pair") -> list[str]:
    """Overrides of the command that trains in `home/RUN`."""
    return [
        f"pair={home}/{pair}/pair.yaml",
        f"data.train={home}/data/train.parquet",
        f"data.validation={home}/data/validation.parquet",
        f"out={home}/{run}",
        *SMALL,
        *more,
    ]


def settings_of(home: Path, run: str, *more: str, pair: str = "pair") -> Settings:
    """The same, read."""
    return settings_from(overrides_of(home, run, *more, pair=pair))


def on_running(trainer: Trainer, patch: pytest.MonkeyPatch) -> list[list[str]]:
    """Makes evaluations of this process ask a trainer's policies; returns what they ask for."""
    asked: list[list[str]] = []

    def running(settings: Settings, pair: object, names: list[str], **_: object) -> dict[str, Any]:
        asked.append(list(names))
        return {name: trainer.policies[name] for name in names}

    patch.setattr("duet_training.evaluation.model_cache.start_policies", running)
    patch.setattr("duet_training.evaluation.model_cache.ray.shutdown", lambda: None)
    return asked


def metrics_of(home: Path, run: str) -> list[dict[str, Any]]:
    """A row a step, without what differs between equal runs: seconds, memory, MFU."""
    lines = (home / run / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if not re.search("^seconds/|/perf/", k)} for row in rows]
