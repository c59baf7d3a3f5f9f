"""`duet-train sft adapter OUT --base DIR --worked FILE`: trains a pair from a public reasoner.

The reasoner is a pretrained model with a low-rank adapter; the decoder is trained from scratch.
Both train on worked problems and synthetic word problems that are solved by equations. A second
call continues where the first one stopped. OUT then holds `pair.yaml`, both models, `adapter/`, and
`base.yaml`: the pair without the adapter, for joint training to continue with the adapter.
"""

import random
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from duet_training.data.story_problems.draw import SCOPES, Scope, stories
from duet_training.pair.description import load_pair
from duet_training.sft.adapted_training import PAIR, set_up, train_models, write_pair
from duet_training.sft.command import UNFINISHED
from duet_training.sft.start import Shape
from duet_training.sft.trainer import Plan
from duet_training.sft.worked import EquationTeacher, Worked, from_story, read_worked
from duet_training.verl_backend.precision import has_fast_bfloat16

# 1.1M parameters: the decoder reads equations, copies a result, and solves easy questions alone.
DECODER, VOCABULARY = Shape(128, 4, 384, 32), 2048
_IM_START, _IM_END = "<|im_start|>", "<|im_end|>"


def make_pair(out: Path, base: Path, problems: list[Worked], scope: Scope, seed: int) -> Path:
    """Write `pair.yaml`, the decoder with random weights, and the reasoner without its weights.

    Also `base.yaml`, which names the reasoner in `base`.
    """
    texts = _texts(problems, scope, seed)
    return write_pair(out, base, texts, reasoner_format, DECODER, VOCABULARY, seed)


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
    until = set_up(arguments)
    out: Path = arguments.out
    file, scope = out / PAIR, SCOPES[arguments.scope]
    problems = read_worked(arguments.worked)
    if not file.is_file():
        make_pair(out, arguments.base, problems, scope, arguments.seed)
    pair = load_pair(file)
    teacher = EquationTeacher(pair, problems, scope, told=arguments.told, seed=arguments.seed)
    plan_of = partial(Plan, bfloat16=has_fast_bfloat16())
    return 0 if train_models(arguments, pair, teacher, plan_of, until) else UNFINISHED
