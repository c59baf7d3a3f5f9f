"""The model that a pair with private quantities is compared with: it answers by itself.

The same base with an adapter of the same shape learns, from the same problems, to write whole
solutions in words and numbers.
"""

import random
import re
from collections.abc import Sequence
from itertools import islice
from types import SimpleNamespace

from duet_contract.quantities import compute
from duet_contract.quantities.formula import NO_FORMULA
from duet_contract.vocabulary import HubTokenizer
from duet_training.data.word_problems.annotated import annotated_rows
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.pair.description import Pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft import UNFINISHED
from duet_training.sft.examples import Example, in_rounds
from duet_training.sft.formula_pair import GRAIN, make_pair
from duet_training.sft.runs import adapted, begin
from duet_training.sft.trainer import Plan

_ANNOTATION = re.compile(r"<<[^<>]*>>")


def solution_in_words(solution: str, answer: str) -> str:
    r"""A worked solution without its annotations, and the answer behind "####".

    Examples:
        >>> solution_in_words("She sold 48/2 = <<48/2=24>>24.\n#### 24", "24")
        'She sold 48/2 = 24.\n#### 24'
    """
    text = _ANNOTATION.sub("", solution).split("####")[0].strip()
    return f"{text}\n#### {answer}"


def worked_steps(problem: MaskedProblem) -> str:
    """The solution of a generated problem: its steps with numbers."""
    if problem.formula == NO_FORMULA:
        return f"{problem.sentence}\n#### {NO_FORMULA}"
    steps = "\n".join(map(str, compute(problem.formula, problem.masked.quantities).work))
    return f"{steps}\n#### {problem.answer}"


class SolutionTeacher:
    """Draws questions as users ask them, with whole solutions."""

    def __init__(
        self, pair: Pair, worked: Sequence[tuple[str, str]], *, share: float, seed: int
    ) -> None:
        """Read the reasoner's tokenizer; `share`: of generated problems among the examples."""
        self._prompts, self._worked = PairPrompts(pair), worked
        self._share, self._seed = share, seed
        self._tokenizer = HubTokenizer.from_directory(pair.reasoner.path)
        self.end = self._tokenizer.encode_template(pair.reasoner.end_of_reasoning)
        """Ids of the tokens that end a solution."""

    def examples(self, rng: random.Random, count: int, chunk: int) -> list[Example]:
        """`count` examples: those of the `chunk`-th draw."""
        real_ones = count - round(count * self._share)
        shown = in_rounds(self._worked, chunk * real_ones, real_ones, self._seed)
        drawn = islice(generated(rng, "train"), count - real_ones)
        shown += [(problem.question, worked_steps(problem)) for problem in drawn]
        return [
            Example(
                self._prompts.reasoner(question),
                [*self._tokenizer.encode_text(solution), *self.end],
            )
            for question, solution in shown
        ]


def train_solutions(arguments: SimpleNamespace) -> int:
    """Train; return 0 when done, 3 if the time limit ended training.

    Raises:
        ConfigError: `--base` is not a model.
    """
    until, pair = begin(arguments), make_pair(arguments)
    worked = [
        (question, solution_in_words(solution, answer))
        for _, question, solution, answer in annotated_rows(arguments.annotated)
    ]
    teacher = SolutionTeacher(pair, worked, share=arguments.generated, seed=arguments.seed)
    steps, tokens, rate = arguments.steps, arguments.tokens, arguments.rate
    plan = Plan(
        steps,
        tokens=tokens,
        rate=rate,
        seed=arguments.seed,
        grain=GRAIN,
        compiled=arguments.compile,
    )
    # Served alone, it ends where it was taught to, which is not where the base model ends.
    trainer = adapted(arguments, pair, plan, teacher.end)
    done = trainer.train(teacher.examples, until=until, name="solutions")
    return 0 if done else UNFINISHED
