"""`duet-train sft scratch OUT --size SIZE`: trains a pair from scratch.

The command initializes both models if OUT has no pair, and trains each on synthetic word problems
until its steps are done or the time limit ends. A second call continues where the first stopped.
"""

import shutil
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch

from duet_contract.json_data import json_text
from duet_training.data.story_problems.draw import SCOPES
from duet_training.pair.description import load_pair
from duet_training.sft import UNFINISHED
from duet_training.sft.examples import Teacher
from duet_training.sft.measure import measure
from duet_training.sft.start import SIZES, make_start
from duet_training.sft.trainer import Plan, Student
from duet_training.verl_backend.precision import has_fast_bfloat16


def train(arguments: SimpleNamespace) -> int:
    """Train or measure; return the exit code."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    until = time.monotonic() + 60 * arguments.minutes
    out: Path = arguments.out
    file = out / "pair.yaml"
    scope_name = SIZES[arguments.size].scope
    if not file.is_file():
        make_start(out, arguments.size, arguments.seed)
    if arguments.measure:
        print(json_text(measure(file, scope_name, arguments.measure)))
        return 0
    pair = load_pair(file)
    if arguments.reasoner_from:
        shutil.copyfile(
            arguments.reasoner_from / "model.safetensors", pair.reasoner.path / "model.safetensors"
        )
    teacher = Teacher(pair, SCOPES[scope_name], arguments.lessons)
    for role in ("reasoner", "decoder"):
        if arguments.role not in (None, role) or (role == "reasoner" and arguments.reasoner_from):
            continue
        steps = arguments.reasoner_steps if role == "reasoner" else arguments.decoder_steps
        plan = Plan(
            steps,
            tokens=arguments.tokens,
            rate=arguments.rate,
            seed=arguments.seed,
            bfloat16=has_fast_bfloat16() and not arguments.float32,
        )
        path = pair.reasoner.path if role == "reasoner" else pair.decoder.path
        student = Student(path, out / "state" / f"{role}.pt", plan)
        if student.step >= steps:
            continue
        if not student.train(partial(teacher.examples, role), until=until, name=role):
            return UNFINISHED
    return 0
