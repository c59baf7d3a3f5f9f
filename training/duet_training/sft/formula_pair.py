"""`duet-train sft formulas OUT --base DIR --annotated FILE`: private quantities.

The reasoner is a public model with a low-rank adapter, and learns to write formulas over the labels
of masked questions. The decoder is trained from scratch, and learns to write the sentence around
the result. Both train on GSM8K's annotated solutions and on generated problems. A second call
continues where the first one stopped. OUT then holds `pair.yaml`, both models, `adapter/`, and
`base.yaml`: the pair without the adapter, for joint training.
"""

import random
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from duet_training.data.word_problems.annotated import read_annotated
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.parts import read_parts
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.pair.description import load_pair
from duet_training.sft import UNFINISHED
from duet_training.sft.adapted_training import PAIR, set_up, train_models, write_pair
from duet_training.sft.formula_pack import pack
from duet_training.sft.formula_teacher import FormulaTeacher
from duet_training.sft.start import Shape
from duet_training.sft.trainer import Plan

DECODER, VOCABULARY = Shape(160, 4, 448, 32), 4096
"""1.9 million parameters."""
GRAIN = 8
PART_ROUNDS = 2
"""How often parts of problems are shown for each time that the problems are."""
_IM_START, _IM_END = "<|im_start|>", "<|im_end|>"


def make_pair(out: Path, base: Path, problems: list[MaskedProblem], seed: int) -> Path:
    """Write `pair.yaml`, the decoder with random weights, and the reasoner without its weights.

    Also `base.yaml`, which names the reasoner in `base`.
    """
    texts = _texts(problems, seed)
    return write_pair(out, base, texts, reasoner_format, DECODER, VOCABULARY, seed)


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
    until = set_up(arguments)
    out: Path = arguments.out
    problems = read_annotated(arguments.annotated).problems
    if not (out / PAIR).is_file():
        make_pair(out, arguments.base, problems, arguments.seed)
    pair = load_pair(out / PAIR)
    shown = problems + PART_ROUNDS * read_parts(arguments.annotated)
    teacher = FormulaTeacher(pair, shown, generated=arguments.generated, seed=arguments.seed)
    if not train_models(arguments, pair, teacher, partial(Plan, grain=GRAIN), until):
        return UNFINISHED
    if arguments.into:
        threads = arguments.threads or torch.get_num_threads()
        adapted = out / "adapter", arguments.base, arguments.base_name
        pack(pair, *adapted, arguments.into, threads)
        print(f"packed: duet-cloud pairs build {arguments.into / 'recipe.toml'}")
    return 0
