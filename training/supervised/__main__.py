"""`python -m training.supervised OUT --size SIZE`: a pair that can read, reason and answer.

Makes both models from scratch if OUT holds none, and trains each on generated stories until its
steps are done or the time is up; called again, it goes on where it stopped.
"""

import argparse
import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import torch

from training.pair import load_pair
from training.precision import has_fast_bfloat16
from training.stories.draw import SCOPES
from training.supervised.command import UNFINISHED, exit_code, report
from training.supervised.examples import LESSONS, Teacher
from training.supervised.measure import measure
from training.supervised.start import SIZES, make_start
from training.supervised.trainer import Plan, Student


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.supervised", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--role", choices=("reasoner", "decoder"), help="train this one only")
    parser.add_argument("--reasoner-steps", type=int, default=4000)
    parser.add_argument("--decoder-steps", type=int, default=2500)
    parser.add_argument(
        "--reasoner-from", type=Path, metavar="DIR", help="take the reasoner's weights from there"
    )
    parser.add_argument("--lessons", choices=sorted(LESSONS), default="broad")
    parser.add_argument("--tokens", type=int, default=3072, help="of a batch")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long (exit 3)")
    parser.add_argument("--threads", type=int, help="of the processor [as many as PyTorch takes]")
    parser.add_argument("--float32", action="store_true", help="no bfloat16, on any processor")
    parser.add_argument("--measure", type=int, metavar="N", help="only measure, on N stories")
    return parser


def run(arguments: argparse.Namespace) -> int:
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
        print(json.dumps(measure(file, scope_name, arguments.measure)))
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


def main(argv: list[str] | None = None) -> int:
    """0 when done, 3 when the time was up before, 1 with one line on standard error."""
    arguments = _parser().parse_args(argv)
    return exit_code("training.supervised", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
