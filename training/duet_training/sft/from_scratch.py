"""`python -m duet_training.sft OUT --size SIZE`: a pair that can read, reason and answer.

Makes both models from scratch if OUT holds none, and trains each on generated stories until its
steps are done or the time is up; called again, it goes on where it stopped.
"""

import argparse
import shutil
import time
from functools import partial
from pathlib import Path

import torch

from duet_contract.json_data import json_text
from duet_training.commands import COUNT, MINUTES, SEED, STEPS, THREADS, TOKENS, real
from duet_training.data.story_problems.draw import SCOPES
from duet_training.pair.description import load_pair
from duet_training.sft.command import UNFINISHED, report
from duet_training.sft.examples import LESSONS, Teacher
from duet_training.sft.measure import measure
from duet_training.sft.start import SIZES, make_start
from duet_training.sft.trainer import Plan, Student
from duet_training.verl_backend.precision import has_fast_bfloat16


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m duet_training.sft", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--role", choices=("reasoner", "decoder"), help="train this one only")
    parser.add_argument("--reasoner-steps", type=STEPS, default=4000)
    parser.add_argument("--decoder-steps", type=STEPS, default=2500)
    parser.add_argument(
        "--reasoner-from", type=Path, metavar="DIR", help="take the reasoner's weights from there"
    )
    parser.add_argument("--lessons", choices=sorted(LESSONS), default="broad")
    parser.add_argument("--tokens", type=TOKENS, default=3072, help="of a batch")
    parser.add_argument("--rate", type=real(1e-12, 1.0), default=2e-3)
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--minutes", type=MINUTES, default=1e6, help="stop after so long (exit 3)")
    parser.add_argument(
        "--threads", type=THREADS, help="of the processor [as many as PyTorch takes]"
    )
    parser.add_argument("--float32", action="store_true", help="no bfloat16, on any processor")
    parser.add_argument("--measure", type=COUNT, metavar="N", help="only measure, on N stories")
    return parser


def train(arguments: argparse.Namespace) -> int:
    """Trains or measures; the exit code."""
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

        examples = partial(teacher.examples, role)
        done = student.train(examples, until=until, report=partial(report, role, steps))
        if not done:
            return UNFINISHED
    return 0


def run(argv: list[str] | None = None) -> int:
    """Reads the command line and trains.

    Returns:
        0 when done, `UNFINISHED` when the time was up before.

    Raises:
        TrainingError: it cannot be done.
    """
    return train(_parser().parse_args(argv))
