"""`duet-train sft scratch OUT --size SIZE`: trains a pair from scratch.

The command initializes both models if OUT has no pair, and trains each on synthetic word problems
until its steps are done or the time limit ends. A second call continues where the first stopped.
"""

import shutil
from pathlib import Path
from types import SimpleNamespace

from duet_contract.json_data import json_text
from duet_training.data.story_problems.draw import SCOPES
from duet_training.pair.description import load_pair
from duet_training.sft.examples import Teacher
from duet_training.sft.measure import measure
from duet_training.sft.runs import PAIR, begin, state_file, train_both
from duet_training.sft.start import SIZES, make_start
from duet_training.sft.trainer import Plan, SftTrainer
from duet_training.verl_backend.precision import has_fast_bfloat16


def train(arguments: SimpleNamespace) -> int:
    """Train or measure; return the exit code."""
    until = begin(arguments)
    out: Path = arguments.out
    file, scope_name = out / PAIR, SIZES[arguments.size].scope
    if not file.is_file():
        make_start(out, arguments.size, arguments.seed)
    if arguments.measure:
        print(json_text(measure(file, scope_name, arguments.measure)))
        return 0
    pair = load_pair(file)
    paths = pair.paths
    if arguments.reasoner_from:
        weights = "model.safetensors"
        shutil.copyfile(arguments.reasoner_from / weights, paths.pop("reasoner") / weights)

    def trainer(role: str) -> SftTrainer:
        plan = Plan(
            arguments.reasoner_steps if role == "reasoner" else arguments.decoder_steps,
            tokens=arguments.tokens,
            rate=arguments.rate,
            seed=arguments.seed,
            bfloat16=has_fast_bfloat16() and not arguments.float32,
        )
        return SftTrainer(paths[role], state_file(out, role), plan)

    teacher = Teacher(pair, SCOPES[scope_name], arguments.mixture)
    return train_both(arguments, teacher.examples, trainer, until, paths)
