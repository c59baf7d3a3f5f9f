"""What the commands that train share: their time limit, their models, and which of them is next."""

import os
import shutil
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers.utils import logging as hub_logging

from duet_training.errors import ConfigError
from duet_training.pair.description import Pair
from duet_training.sft import UNFINISHED
from duet_training.sft.adapter import Adapter, AdapterTrainer
from duet_training.sft.examples import Example
from duet_training.sft.trainer import Plan, SftTrainer

PAIR = "pair.yaml"


def begin(arguments: SimpleNamespace) -> float:
    """Set threads; return when training has to end (monotonic seconds).

    Raises:
        ConfigError: `--compile` without a C++ compiler.
    """
    hub_logging.disable_progress_bar()
    compiler = os.environ.get("CXX", "g++")
    if getattr(arguments, "compile", False) and not shutil.which(compiler):
        raise ConfigError(f"--compile needs a C++ compiler, and there is no {compiler}: omit it")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    until: float = time.monotonic() + 60 * arguments.minutes
    return until


def check_base(base: Path) -> None:
    """Check that `--base` is a model.

    Raises:
        ConfigError: A file is missing.
    """
    for needed in ("config.json", "tokenizer.json", "model.safetensors"):
        if not (base / needed).is_file():
            raise ConfigError(f"--base {base} has no {needed}: name a model's directory")


def state_file(out: Path, role: str) -> Path:
    """Return the file of a model's resume state."""
    return out / "state" / f"{role}.pt"


def adapted(
    arguments: SimpleNamespace, pair: Pair, plan: Plan, ends: Collection[int] = ()
) -> AdapterTrainer:
    """Return the reasoner of a pair in `arguments.out`: a base model with an adapter.

    The pair's reasoner gets the merged weights; its texts end at the token ids `ends` [the base model's].
    """
    adapter = Adapter(arguments.rank, arguments.first, arguments.base_name)
    out, target = arguments.out, pair.reasoner.path
    state = state_file(out, "reasoner")
    return AdapterTrainer(arguments.base, out / "adapter", state, plan, adapter, target, ends)


def train_both(
    arguments: SimpleNamespace,
    examples: Callable[..., list[Example]],
    trainer: Callable[[str], SftTrainer],
    until: float,
    roles: Collection[str] = ("reasoner", "decoder"),
) -> int:
    """Train the models of `roles`, or the one that `--role` names, at most `until` (monotonic clock).

    Returns:
        Exit code: 0, or 3 if the time limit ended training.
    """
    for role in roles:
        if arguments.role in (None, role) and not trainer(role).train(
            partial(examples, role), until=until, name=role
        ):
            return UNFINISHED
    return 0
