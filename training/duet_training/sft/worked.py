"""Problems solved by a chain of equations: synthetic word problems, and files of real ones."""

import random
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from duet_contract.answers.worked import final_line
from duet_contract.vocabulary import HubTokenizer
from duet_training.data.jsonl import json_lines
from duet_training.data.story_problems.draw import Scope, stories
from duet_training.data.story_problems.story import Story
from duet_training.data.story_problems.traces import SHORT, trace
from duet_training.errors import DataError
from duet_training.pair.description import Pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft.examples import Example
from duet_training.sft.mismatched import strange
from duet_training.sft.rounds import in_rounds

# GSM8K's calculator annotations: `48/2 = <<48/2=24>>24 clips`.
_ANNOTATION = re.compile(r"<<([^<>=]*)=([^<>=]*)>>")
# Shares of the decoder's examples: without a signal, with a signal that lacks the last equation,
# and with a mismatched signal.
ALONE, SHORTENED, STRANGE = 0.2, 0.1, 0.15
_BARE_POINT = re.compile(r"(?<!\d)\.(?=\d)")


@dataclass(frozen=True)
class Worked:
    """A question, its solution as equations ("48/2=24. 48+24=72."), and the answer."""

    question: str
    equations: str
    answer: str


def from_story(story: Story) -> Worked:
    """Convert a synthetic word problem."""
    return Worked(story.question, trace(story, SHORT), str(story.answer))


def read_worked(file: Path) -> list[Worked]:
    """Read the problems of a JSONL file in GSM8K's format.

    A line has a `question` and an `answer`: the worked solution with annotated equations, up to
    "#### 72". The solution may be in `solution` instead.

    The function skips a problem without a question, and one whose annotated equations do not give
    its answer.

    Raises:
        DataError: The file is unreadable, a line lacks these fields, or no problem is left.
    """
    problems = [_worked(row, f"{file}, line {number}") for number, row in json_lines(file)]
    kept = [problem for problem in problems if problem]
    if not kept:
        raise DataError(f"{file} has no solution whose annotated equations lead to its answer")
    return kept


def _worked(row: dict[str, Any], where: str) -> Worked | None:
    try:
        question, worked = row["question"], row["answer"]
        # Equations have no commas, so the trained answer after them has none either.
        answer, solution = final_line(worked).replace(",", ""), row.get("solution") or worked
    except (KeyError, AttributeError) as error:
        raise DataError(f"{where}: not an object with question and worked answer") from error
    steps = [
        (_BARE_POINT.sub("0.", left.strip()), _BARE_POINT.sub("0.", result.strip()))
        for left, result in _ANNOTATION.findall(solution)
    ]
    steps = [(left, result) for left, result in steps if left != result]
    if not question.strip() or not steps or _number(steps[-1][1]) != _number(answer):
        return None
    return Worked(question, " ".join(f"{left}={result}." for left, result in steps), answer)


def _number(text: str) -> Fraction | str:
    try:
        return Fraction(text.replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return text


class EquationTeacher:
    """Examples of a pair whose signals are equations.

    Each real problem is used once per round; synthetic word problems are new each time.
    """

    def __init__(
        self, pair: Pair, problems: list[Worked], scope: Scope, *, told: float, seed: int
    ) -> None:
        """Set the sources; `told`: share of synthetic word problems among the examples."""
        self._prompts, self._problems, self._scope = PairPrompts(pair), problems, scope
        self._told, self._seed = told, seed
        self._reasons = HubTokenizer.from_directory(pair.reasoner.path)
        self._answers = HubTokenizer.from_directory(pair.decoder.path)
        self._pair = pair

    def examples(self, role: str, rng: random.Random, count: int, chunk: int) -> list[Example]:
        """Draw `count` examples of the `chunk`-th draw for "reasoner" or "decoder"."""
        drawn, real = stories(rng, self._scope, "train"), count - round(count * self._told)
        shown = in_rounds(self._problems, chunk * real, real, self._seed)
        shown += [from_story(next(drawn)) for _ in range(count - real)]
        if role == "reasoner":
            return [self.reasoner(problem) for problem in shown]
        return [self.decoder(problem, shown, rng) for problem in shown]

    def reasoner(self, problem: Worked) -> Example:
        """Make an example of the equations, the end of reasoning, and the answer."""
        response = [
            *self._reasons.encode_text(problem.equations),
            *self._reasons.encode_template(self._pair.reasoner.end_of_reasoning),
            *self._reasons.encode_text(_boxed(problem)),
            *self._reasons.encode_template(self._pair.reasoner.end_of_text[0]),
        ]
        return Example(self._prompts.reasoner(problem.question), response)

    def decoder(self, problem: Worked, others: list[Worked], rng: random.Random) -> Example:
        """Make an example of the answer: after all equations, all but the last, or no equations.

        Some examples have a mismatched signal, and the answer of any of `others`.
        """
        dice, question, signal = rng.random(), problem.question, problem.equations
        if dice < ALONE:
            return self._answered(self._prompts.alone(question), problem)
        told = problem
        if dice < ALONE + SHORTENED:
            steps = [f"{step}." for step in signal.removesuffix(".").split(". ")]
            signal = " ".join(steps[:-1])
        elif dice < ALONE + SHORTENED + STRANGE:
            told, other = rng.choice(others), rng.choice(others)
            question, signal = strange(question, signal, other.equations, rng)
        prompt = self._prompts.guided(question, self._reasons.encode_text(signal))
        return self._answered(prompt, told)

    def _answered(self, prompt: list[int], told: Worked) -> Example:
        answer = self._answers.encode_text(_boxed(told))
        end = self._answers.encode_template(self._pair.decoder.end_of_answer[0])
        return Example(prompt, [*answer, *end])


def _boxed(problem: Worked) -> str:
    return f"\\boxed{{{problem.answer}}}"
