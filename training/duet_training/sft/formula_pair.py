"""`duet-train sft formulas OUT --base DIR --annotated FILE`: private quantities.

The reasoner is a public model with a low-rank adapter, and learns to write formulas over the labels
of masked questions. The decoder is trained from scratch, and learns to write the sentence around
the result. Both train on GSM8K's annotated solutions and on generated problems. A second call
continues where the first one stopped. OUT then holds `pair.yaml`, both models, `adapter/`, and
`base.yaml`: the pair without the adapter, for joint training.
"""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from duet_contract.quantities import asked, plain_sentence
from duet_contract.vocabulary import HubTokenizer
from duet_training.data.word_problems.annotated import read_annotated
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.notes import generated_notes
from duet_training.data.word_problems.parts import read_parts
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.pair.description import Pair, load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft.examples import Example, in_rounds
from duet_training.sft.formula_pack import pack
from duet_training.sft.runs import PAIR, adapted, begin, check_base, state_file, train_both
from duet_training.sft.start import Shape, write_pair
from duet_training.sft.trainer import Plan, SftTrainer

ALONE, SHORTENED = 0.5, 0.1
"""Shares of the decoder's examples without a signal, and with one that lacks its last step."""
NOTED = 0.06
"""Share of the generated problems whose numbers are from a note."""
_RESULT = "{=}"


class FormulaTeacher:
    """Draws examples: annotated problems, each once a round, and generated ones."""

    def __init__(
        self, pair: Pair, annotated: list[MaskedProblem], *, generated: float, seed: int
    ) -> None:
        """Read the pair's tokenizers; `generated`: share of generated problems among the examples."""
        self._prompts, self._annotated = PairPrompts(pair), annotated
        self._share, self._seed = generated, seed
        self._reasons = HubTokenizer.from_directory(pair.reasoner.path)
        self._answers = HubTokenizer.from_directory(pair.decoder.path)
        self._pair = pair

    def examples(self, role: str, rng: random.Random, count: int, chunk: int) -> list[Example]:
        """`count` of them for "reasoner" or "decoder": those of the `chunk`-th draw."""
        made, notes = generated(rng, "train"), generated_notes(rng, "train")
        noted = (each.problem for each in notes if each.complete)
        real = count - round(count * self._share)
        shown = in_rounds(self._annotated, chunk * real, real, self._seed)
        shown += [next(noted if rng.random() < NOTED else made) for _ in range(count - real)]
        if role == "reasoner":
            return [self.reasoner(problem) for problem in shown]
        return [self.decoder(problem, rng) for problem in shown]

    def reasoner(self, problem: MaskedProblem) -> Example:
        """The masked question, then the formula and the end of reasoning."""
        response = [
            *self._reasons.encode_text(problem.formula),
            *self._reasons.encode_template(self._pair.reasoner.end_of_reasoning),
        ]
        return Example(self._prompts.reasoner(problem.masked.text), response)

    def decoder(self, problem: MaskedProblem, rng: random.Random) -> Example:
        """The masked question and the formula, then the sentence around the result.

        What the signal lacks, the sentence has in braces: the last step, or the whole formula.
        """
        text, signal, dice = problem.masked.text, problem.formula, rng.random()
        sentence = problem.sentence or plain_sentence(text, asked(text))
        steps, _, last = signal.rpartition(";")
        prompt = self._prompts.guided(text, self._reasons.encode_text(signal))
        if dice < ALONE:
            prompt = self._prompts.alone(text)
            sentence = sentence.replace(_RESULT, f"{{{signal}}}")
        elif dice < ALONE + SHORTENED and steps:
            # The last step of a signal has no name.
            shorter = steps.rpartition("=")[0]
            prompt = self._prompts.guided(text, self._reasons.encode_text(shorter))
            sentence = sentence.replace(_RESULT, f"{{{last}}}")
        end = self._answers.encode_template(self._pair.decoder.end_of_answer[0])
        return Example(prompt, [*self._answers.encode_text(sentence), *end])


DECODER, VOCABULARY = Shape(160, 4, 448, 32), 4096
"""1.9 million parameters."""
GRAIN = 8
PART_ROUNDS = 2
"""How often parts of problems are shown for each time that the problems are."""
_IM_START, _IM_END = "<|im_start|>", "<|im_end|>"


def make_pair(arguments: SimpleNamespace) -> Pair:
    """Load the pair in `arguments.out`; make it if it is not there.

    Raises:
        ConfigError: `--base` is not a model.
    """
    check_base(arguments.base)
    out: Path = arguments.out
    if not (out / PAIR).is_file():
        texts = _texts(read_annotated(arguments.annotated).problems, arguments.seed)
        base, seed = arguments.base, arguments.seed
        write_pair(out, base, texts, reasoner_format, DECODER, VOCABULARY, seed)
    return load_pair(out / PAIR)


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
    until, pair = begin(arguments), make_pair(arguments)
    out: Path = arguments.out
    problems = read_annotated(arguments.annotated).problems
    shown = problems + PART_ROUNDS * read_parts(arguments.annotated)
    teacher = FormulaTeacher(pair, shown, generated=arguments.generated, seed=arguments.seed)

    def trainer(role: str) -> SftTrainer:
        steps, rate, tokens = (
            getattr(arguments, f"{role}_{name}") for name in ("steps", "rate", "tokens")
        )
        plan = Plan(
            steps,
            tokens=tokens,
            rate=rate,
            seed=arguments.seed,
            grain=GRAIN,
            compiled=arguments.compile,
        )
        if role == "reasoner":
            return adapted(arguments, pair, plan)
        return SftTrainer(pair.decoder.path, state_file(out, role), plan)

    if unfinished := train_both(arguments, teacher.examples, trainer, until):
        return unfinished
    if arguments.into:
        threads = arguments.threads or torch.get_num_threads()
        pack(pair, out / "adapter", arguments.base, arguments.base_name, arguments.into, threads)
        print(f"packed: duet-cloud pairs build {arguments.into / 'recipe.toml'}")
    return 0
