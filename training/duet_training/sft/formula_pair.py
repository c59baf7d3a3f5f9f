"""`duet-train sft formulas OUT --base DIR --annotated FILE`: private quantities.

The reasoner is a public model with a low-rank adapter, and learns to write formulas over the labels
of masked questions. The decoder is trained from scratch, and learns to write the sentence around
the result. Both train on GSM8K's annotated solutions and on generated problems. A second call
continues where the first one stopped. OUT then holds `pair.yaml`, both models, `adapter/`, and
`base.yaml`: the pair without the adapter, for joint training.
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

from duet_training.data.word_problems.annotated import read_annotated
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.parts import read_parts
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.errors import ConfigError
from duet_training.pair.description import load_pair
from duet_training.sft.adapter import Adapter, AdapterStudent
from duet_training.sft.command import UNFINISHED, report
from duet_training.sft.examples import Example
from duet_training.sft.formula_pack import pack
from duet_training.sft.formula_teacher import FormulaTeacher
from duet_training.sft.start import Shape, decoder_format, make_model
from duet_training.sft.tokenizer import tokenizer_of
from duet_training.sft.trainer import Plan, Student

DECODER, VOCABULARY = Shape(160, 4, 448, 32), 4096
"""1.9 million parameters."""
PAIR = "pair.yaml"
GRAIN = 8
PART_ROUNDS = 2
"""How often parts of problems are shown for each time that the problems are."""
_IM_START, _IM_END = "<|im_start|>", "<|im_end|>"


def make_pair(out: Path, base: Path, problems: list[MaskedProblem], seed: int) -> Path:
    """Write `pair.yaml`, the decoder with random weights, and the reasoner without its weights.

    Also `base.yaml`, which names the reasoner in `base`.
    """
    make_model(out / "decoder", DECODER, tokenizer_of(_texts(problems, seed), VOCABULARY), seed)
    weights = shutil.ignore_patterns("*.safetensors*")
    shutil.copytree(base, out / "reasoner", ignore=weights, dirs_exist_ok=True)
    for name, reasoner in (("base.yaml", str(base.resolve())), (PAIR, "reasoner")):
        content = {"reasoner": reasoner_format(reasoner), "decoder": decoder_format()}
        (out / name).write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return out / PAIR


def _texts(problems: list[MaskedProblem], seed: int) -> Iterator[str]:
    drawn = generated(random.Random(f"tokenizer/{seed}"), "train")
    for problem in (*problems, *islice(drawn, 2 * len(problems))):
        yield f"{problem.masked.text} {problem.formula} {problem.sentence}"


def reasoner_format(path: str) -> dict[str, Any]:
    """Prompts as short as they can be: a masked question is as long as its formula is short."""
    return {
        "path": path,
        "prompt": [{"template": _IM_START}, {"slot": "question"}, {"template": _IM_END}],
        "end_of_reasoning": "<|endoftext|>",
        "end_of_text": [_IM_END],
    }


def train(arguments: SimpleNamespace) -> int:
    """Train the pair; return 0 when done, 3 if the time limit ended training.

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
    problems = read_annotated(arguments.annotated).problems
    if not (out / PAIR).is_file():
        make_pair(out, arguments.base, problems, arguments.seed)
    pair = load_pair(out / PAIR)
    shown = problems + PART_ROUNDS * read_parts(arguments.annotated)
    teacher = FormulaTeacher(pair, shown, generated=arguments.generated, seed=arguments.seed)
    for role in ("reasoner", "decoder"):
        if arguments.role not in (None, role):
            continue
        steps, rate, tokens = (
            getattr(arguments, f"{role}_{name}") for name in ("steps", "rate", "tokens")
        )
        plan = Plan(steps, tokens=tokens, rate=rate, seed=arguments.seed, grain=GRAIN)
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
    if arguments.into:
        threads = arguments.threads or torch.get_num_threads()
        adapted = out / "adapter", arguments.base, arguments.base_name
        pack(pair, *adapted, arguments.into, threads)
        print(f"packed: duet-cloud pairs build {arguments.into / 'recipe.toml'}")
    return 0


def _examples(
    teacher: FormulaTeacher, student: Student, role: str, rng: random.Random, count: int
) -> list[Example]:
    return teacher.examples(role, rng, count, student.chunk)
