"""What trains a pair of an adapted public reasoner and a decoder from scratch, whatever its data.

`formula_pair` adds its problems, prompts and sizes.
"""

import random
import shutil
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import torch
import yaml
from transformers.utils import logging as hub_logging

from duet_training.errors import ConfigError
from duet_training.pair.description import Pair
from duet_training.sft.adapter import Adapter, AdapterStudent
from duet_training.sft.examples import Example
from duet_training.sft.start import Shape, decoder_format, make_model
from duet_training.sft.tokenizer import tokenizer_of
from duet_training.sft.trainer import Plan, Student

PAIR = "pair.yaml"


class Teacher(Protocol):
    """Draws examples for one of the models."""

    def examples(self, role: str, rng: random.Random, count: int, chunk: int) -> list[Example]:
        """Return `count` examples of a role's chunk of data."""


def write_pair(
    out: Path,
    base: Path,
    texts: Iterable[str],
    reasoner_format: Callable[[str], dict[str, Any]],
    decoder: Shape,
    vocabulary: int,
    seed: int,
) -> Path:
    """Write `pair.yaml`, the decoder with random weights, and the reasoner without its weights.

    Also `base.yaml`, which names the reasoner in `base`.
    """
    make_model(out / "decoder", decoder, tokenizer_of(texts, vocabulary), seed)
    weights = shutil.ignore_patterns("*.safetensors*")
    shutil.copytree(base, out / "reasoner", ignore=weights, dirs_exist_ok=True)
    for name, reasoner in (("base.yaml", str(base.resolve())), (PAIR, "reasoner")):
        content = {"reasoner": reasoner_format(reasoner), "decoder": decoder_format()}
        (out / name).write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return out / PAIR


def set_up(arguments: SimpleNamespace) -> float:
    """Set threads, check the base model; return when training has to end (monotonic seconds).

    Raises:
        ConfigError: `--base` is not a model.
    """
    hub_logging.disable_progress_bar()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    until: float = time.monotonic() + 60 * arguments.minutes
    for needed in ("config.json", "tokenizer.json", "model.safetensors"):
        if not (arguments.base / needed).is_file():
            raise ConfigError(f"--base {arguments.base} has no {needed}: name a model's directory")
    return until


def train_models(
    arguments: SimpleNamespace,
    pair: Pair,
    teacher: Teacher,
    plan_of: Callable[..., Plan],
    until: float,
) -> bool:
    """Train reasoner and decoder, or the one that `--role` names.

    Args:
        arguments: the command's options.
        pair: the pair in `arguments.out`.
        teacher: draws the examples.
        plan_of: a `Plan` of steps, `tokens`, `rate` and `seed`.
        until: when to stop (monotonic seconds).

    Returns:
        Whether training is complete.
    """
    out: Path = arguments.out
    for role in ("reasoner", "decoder"):
        if arguments.role not in (None, role):
            continue
        steps, rate, tokens = (
            getattr(arguments, f"{role}_{name}") for name in ("steps", "rate", "tokens")
        )
        plan = plan_of(steps, tokens=tokens, rate=rate, seed=arguments.seed)
        state = out / "state" / f"{role}.pt"
        student: Student
        if role == "reasoner":
            adapter = Adapter(arguments.rank, arguments.first, arguments.base_name)
            student = AdapterStudent(arguments.base, out / "adapter", state, plan, adapter)
        else:
            student = Student(pair.decoder.path, state, plan)
        if student.step >= steps:
            continue
        examples = partial(_examples, teacher, student, role)
        done = student.train(examples, until=until, name=role)
        if isinstance(student, AdapterStudent):
            student.merge(pair.reasoner.path)
        if not done:
            return False
    return True


def _examples(
    teacher: Teacher, student: Student, role: str, rng: random.Random, count: int
) -> list[Example]:
    return teacher.examples(role, rng, count, student.chunk)
