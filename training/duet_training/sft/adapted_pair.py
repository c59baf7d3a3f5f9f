"""`duet-train sft adapter OUT --base DIR --worked FILE`: trains a pair from a public reasoner.

The reasoner is a pretrained model with a low-rank adapter; the decoder is trained from scratch.
Both train on worked problems and synthetic word problems that are solved by equations. A second
call continues where the first one stopped. OUT then holds `pair.yaml`, both models, `adapter/`, and
`base.yaml`: the pair without the adapter, for joint training to continue with the adapter.
"""

import random
import shutil
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from transformers.utils import logging as hub_logging

from duet_training.data.story_problems.draw import SCOPES, Scope, stories
from duet_training.errors import ConfigError
from duet_training.pair.description import load_pair
from duet_training.sft.adapter import Adapter, AdapterStudent
from duet_training.sft.command import UNFINISHED, report
from duet_training.sft.examples import Example
from duet_training.sft.start import Shape, decoder_format, make_model
from duet_training.sft.tokenizer import tokenizer_of
from duet_training.sft.trainer import Plan, Student
from duet_training.sft.worked import EquationTeacher, Worked, from_story, read_worked
from duet_training.verl_backend.precision import has_fast_bfloat16

# 1.1M parameters: the decoder reads equations, copies a result, and solves easy questions alone.
DECODER, VOCABULARY = Shape(128, 4, 384, 32), 2048
PAIR = "pair.yaml"
_IM_START, _IM_END = "<|im_start|>", "<|im_end|>"


def make_pair(out: Path, base: Path, problems: list[Worked], scope: Scope, seed: int) -> Path:
    """Write `pair.yaml`, the decoder with random weights, and the reasoner without its weights.

    Also `base.yaml`, which names the reasoner in `base`.
    """
    tokenizer = tokenizer_of(_texts(problems, scope, seed), VOCABULARY)
    make_model(out / "decoder", DECODER, tokenizer, seed)
    weights = shutil.ignore_patterns("*.safetensors*")
    shutil.copytree(base, out / "reasoner", ignore=weights, dirs_exist_ok=True)
    for name, reasoner in (("base.yaml", str(base.resolve())), (PAIR, "reasoner")):
        content = {"reasoner": reasoner_format(reasoner), "decoder": decoder_format()}
        (out / name).write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return out / PAIR


def _texts(problems: list[Worked], scope: Scope, seed: int) -> Iterator[str]:
    told = map(from_story, stories(random.Random(f"tokenizer/{seed}"), scope, "train"))
    for problem in (*problems, *islice(told, len(problems))):
        yield f"{problem.question} {problem.equations}"


def reasoner_format(path: str) -> dict[str, Any]:
    """Return ChatML prompts without a system message; the document token ends the reasoning."""
    return {
        "path": path,
        "prompt": [
            {"template": f"{_IM_START}user\n"},
            {"slot": "question"},
            {"template": f"{_IM_END}\n{_IM_START}assistant\n"},
        ],
        "end_of_reasoning": "<|endoftext|>",
        "end_of_text": [_IM_END],
    }


def train(arguments: SimpleNamespace) -> int:
    """Train the pair; return the exit code.

    Raises:
        ConfigError: `--base` is not a model.
    """
    hub_logging.disable_progress_bar()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    until = time.monotonic() + 60 * arguments.minutes
    out: Path = arguments.out
    for needed in ("config.json", "tokenizer.json", "model.safetensors"):
        if not (arguments.base / needed).is_file():
            raise ConfigError(f"--base {arguments.base} has no {needed}: name a model's directory")
    file, scope = out / PAIR, SCOPES[arguments.scope]
    problems = read_worked(arguments.worked)
    if not file.is_file():
        make_pair(out, arguments.base, problems, scope, arguments.seed)
    pair = load_pair(file)
    teacher = EquationTeacher(pair, problems, scope, told=arguments.told, seed=arguments.seed)
    for role in ("reasoner", "decoder"):
        if arguments.role not in (None, role):
            continue
        steps, rate, tokens = (
            getattr(arguments, f"{role}_{name}") for name in ("steps", "rate", "tokens")
        )
        fast = has_fast_bfloat16()
        plan = Plan(steps, tokens=tokens, rate=rate, seed=arguments.seed, bfloat16=fast)
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
        done = student.train(examples, until=until, report=partial(report, role, steps))
        if isinstance(student, AdapterStudent):
            student.merge(pair.reasoner.path)
        if not done:
            return UNFINISHED
    return 0


def _examples(
    teacher: EquationTeacher, student: Student, role: str, rng: random.Random, count: int
) -> list[Example]:
    return teacher.examples(role, rng, count, student.chunk)
