"""`duet-train sft formula-accuracy OUT FILE...`: how often formulas are right.

Greedy formulas of a reasoner in training (OUT as `duet-train sft formulas` writes it),
computed exactly, over files of problems (JSONL with `question` and `answer`) and over generated
problems that no model was trained on. Of those with notes, an answer is also wrong if the device
chose no line of the note that has a needed number.
"""

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from scipy.stats import mannwhitneyu
from transformers import AutoModelForCausalLM

from duet_contract.integrity import sha256_of
from duet_contract.quantities import Value, answer_of, compute, result_of
from duet_contract.quantities.formula import NO_FORMULA
from duet_report.intervals import bootstrap_mean, bounds
from duet_report.tables import markdown
from duet_training.data.jsonl import json_lines, read_jsonl
from duet_training.data.rows import Problem
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.notes import generated_notes
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.errors import DataError
from duet_training.files import write_json, write_text
from duet_training.pair.description import Pair, load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.verl_backend.cpu.batch import by_length

LIMIT = 64
"""Tokens of a formula."""
ROWS = 32
NO_VALUE = 10.0
_TOLERANCE = Fraction(1, 10**6)


@dataclass(frozen=True)
class FormulaOutcome:
    """One question's formula."""

    id: str
    """Id of the problem."""
    question: str
    """Masked."""
    formula: str
    """Text of the generated formula."""
    answer: str
    """Empty if the formula cannot be computed."""
    reference: str
    """The reference answer."""
    right: bool
    """Whether the answer is right."""
    earlier: bool
    """Wrong, and a step before the last has the right value."""
    tokens: int
    """Of the signal."""
    least: float
    """Log-probability of the least likely token, in nats."""
    mean: float
    """Mean log-probability of a token, in nats."""
    checks: dict[str, float]
    """Empty if the formula cannot be computed."""
    suspicion: float
    """What the device's checks say against the answer; `NO_VALUE` without one."""
    failed: bool
    """Whether the device asks for another formula."""
    marked: bool
    """Whether the device says that the answer may be wrong, or refuses."""


class Formulas:
    """A reasoner that writes formulas."""

    def __init__(self, pair: Pair, base: Path | None, adapter: Path) -> None:
        """Load the model `base` with its adapter, or the pair's own reasoner without one."""
        model = AutoModelForCausalLM.from_pretrained(
            base or pair.reasoner.path, dtype=torch.bfloat16
        )
        if base:
            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        self._model = model.eval()
        self._prompts = PairPrompts(pair)

    def write(
        self, questions: Sequence[str], temperature: float = 0.0, seed: int = 0
    ) -> list[tuple[str, list[float]]]:
        """A formula for each masked question, and its tokens' log-probabilities."""
        prompts = [self._prompts.reasoner(question) for question in questions]
        seeds = range(seed, seed + len(prompts))
        stops = [self._prompts.end_of_reasoning]
        written = by_length(self._model, prompts, seeds, temperature, LIMIT, stops, ROWS)
        return [
            (self._prompts.signal_text(self._prompts.signal(ids)), log_probs)
            for ids, log_probs in written
        ]


def judge(problem: MaskedProblem, formula: str, log_probs: Sequence[float]) -> FormulaOutcome:
    """Compute a formula as the device does, and compare the answer with the reference."""
    masked = problem.masked
    found = answer_of(masked, formula)
    right, earlier = problem.formula == formula == NO_FORMULA, False
    if found.checks:
        value = compute(formula, masked.quantities)
        right = is_right(result_of(masked, value), found.value, problem.answer)
        earlier = not right and _earlier(value, problem.answer)
    return FormulaOutcome(
        id=problem.id,
        question=masked.text,
        formula=formula,
        answer=found.value,
        reference=problem.answer,
        right=right,
        earlier=earlier,
        tokens=len(log_probs),
        least=min(log_probs),
        mean=sum(log_probs) / len(log_probs),
        checks=found.checks.features() if found.checks else {},
        suspicion=found.checks.suspicion if found.checks else NO_VALUE,
        failed=found.failed,
        marked=bool(found.doubts),
    )


def answered(
    reasoner: Formulas, problems: Sequence[MaskedProblem], tries: int, temperature: float, seed: int
) -> list[FormulaOutcome]:
    """Answer as the device does: greedily, and again where the checks refuse the formula.

    At most `tries` formulas a question, all but the first sampled. The last one counts; if all fail,
    the first. References decide `FormulaOutcome.right` alone.
    """
    asked = [problem.masked.text for problem in problems]
    found = [
        judge(problem, *each) for problem, each in zip(problems, reasoner.write(asked), strict=True)
    ]
    for number in range(1, tries):
        open_ones = [place for place, outcome in enumerate(found) if outcome.failed]
        if not open_ones:
            break
        written = reasoner.write(
            [asked[place] for place in open_ones], temperature, seed + number * len(problems)
        )
        for place, each in zip(open_ones, written, strict=True):
            spent = found[place].tokens + len(each[1])
            again = judge(problems[place], *each)
            found[place] = replace(found[place] if again.failed else again, tokens=spent)
    return found


def is_right(value: Fraction, answer: str, reference: str) -> bool:
    """Whether a result is the reference: exactly, as written, or within its rounding.

    Examples:
        >>> is_right(Fraction(2, 3), "0.67", "0.6666666667"), is_right(Fraction(3), "3", "4")
        (True, False)
        >>> is_right(Fraction(27, 2), "1:30", "1:30"), is_right(Fraction(27, 2), "1:30", "2")
        (True, False)
    """
    try:
        wanted = Fraction(reference.replace(",", ""))
        near = _TOLERANCE * max(Fraction(1), abs(wanted))
        return abs(value - wanted) <= near or abs(Fraction(answer) - wanted) <= near
    except (ValueError, ZeroDivisionError):
        # One of them is a time of day or other text.
        return answer == reference


def _earlier(value: Value, reference: str) -> bool:
    return any(is_right(step.result, str(step.result), reference) for step in value.work[:-1])


def summary(name: str, outcomes: Sequence[FormulaOutcome]) -> dict[str, Any]:
    """Figures of a set; accuracy with its 95% bootstrap interval."""
    right = np.array([[float(outcome.right)] for outcome in outcomes])
    count = len(outcomes)
    right_ones = [outcome.right for outcome in outcomes]
    return {
        "set": name,
        "questions": count,
        "accuracy": float(right.mean()),
        "interval": bounds(bootstrap_mean(right)),
        "tokens": sum(outcome.tokens for outcome in outcomes) / count,
        "earlier": sum(outcome.earlier for outcome in outcomes) / count,
        "not_computed": sum(not outcome.answer for outcome in outcomes) / count,
        "marked": sum(outcome.marked for outcome in outcomes) / count,
        "marked_of_right": (
            sum(outcome.marked and outcome.right for outcome in outcomes) / max(1, sum(right_ones))
        ),
        "auroc_checks": auroc([-outcome.suspicion for outcome in outcomes], right_ones),
        "auroc_reasoner": auroc([outcome.least for outcome in outcomes], right_ones),
    }


def auroc(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """Probability that a right answer scores higher than a wrong one; ties count half.

    Examples:
        >>> auroc([3, 2, 2, 1], [True, True, False, False])
        0.875
    """
    values, is_right = np.array(scores), np.array(right, dtype=bool)
    if is_right.all() or not is_right.any():
        return None
    good, bad = values[is_right], values[~is_right]
    return float(mannwhitneyu(good, bad, method="asymptotic").statistic / (len(good) * len(bad)))


def as_table(summaries: Sequence[dict[str, Any]]) -> str:
    """Summaries as Markdown."""
    head = (
        "set",
        "questions",
        "right (95% CI)",
        "tokens",
        "earlier step right",
        "no value",
        "marked",
        "AUROC",
    )
    rows = [
        (
            each["set"],
            str(each["questions"]),
            f"{each['accuracy']:.1%} ({each['interval'][0]:.1%}-{each['interval'][1]:.1%})",
            f"{each['tokens']:.1f}",
            f"{each['earlier']:.1%}",
            f"{each['not_computed']:.1%}",
            f"{each['marked']:.1%}",
            "-" if each["auroc_checks"] is None else f"{each['auroc_checks']:.2f}",
        )
        for each in summaries
    ]
    return markdown(head, rows)


def part_of(file: Path, count: int, seed: int) -> list[Problem]:
    """The questions of a file with answers, or `count` of them drawn by `seed`; 0: all."""
    rows, _ = read_jsonl(file, "math")
    if count and count < len(rows):
        rows = random.Random(f"{file.stem}/{seed}").sample(rows, count)
    return rows


def _problems(arguments: SimpleNamespace) -> dict[str, list[MaskedProblem]]:
    sets: dict[str, list[MaskedProblem]] = {}
    for file in arguments.files:
        sets[file.stem] = [
            MaskedProblem(row.id, row.question, "", row.answer, file.stem)
            for row in part_of(file, arguments.part, arguments.seed)
        ]
    count = arguments.generated
    if count:
        for name, held_out in (("generated", False), ("held-out templates", True)):
            drawn = generated(random.Random(f"{name}/{arguments.seed}"), "test", held_out=held_out)
            sets[name] = list(islice(drawn, count))
        for name, held_out in (("notes", False), ("notes in other words", True)):
            rng = random.Random(f"{name}/{arguments.seed}")
            notes = islice(generated_notes(rng, "test", held_out=held_out), count)
            sets[name] = [each.problem for each in notes]
    return sets


def _state(out: Path) -> dict[str, Any]:
    """Identify the measured weights: their digest, and their number of training steps."""
    file = out / "adapter" / "adapter_model.safetensors"
    state = out / "state" / "reasoner.pt"
    steps = int(torch.load(state, weights_only=True)["step"]) if state.is_file() else None
    return {"sha256": sha256_of(file), "steps": steps}


def measure_formulas(arguments: SimpleNamespace) -> None:
    """Measure and print a table."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.formulas:
        written = _written(arguments.formulas)
    else:
        pair = load_pair(arguments.out / "pair.yaml")
        reasoner = Formulas(pair, arguments.base, arguments.out / "adapter")
    summaries: list[dict[str, Any]] = []
    lines: list[str] = []
    for name, problems in _problems(arguments).items():
        started = time.monotonic()
        if arguments.formulas:
            outcomes = [
                judge(problem, *written[name, problem.id])
                for problem in problems
                if (name, problem.id) in written
            ]
        else:
            outcomes = answered(
                reasoner, problems, arguments.tries, arguments.temperature, arguments.seed
            )
        if not outcomes:
            raise DataError(f"{arguments.formulas} has no formula for {name}")
        seconds = time.monotonic() - started
        summaries.append(summary(name, outcomes) | {"seconds": seconds})
        print(f"{name}: {summaries[-1]['accuracy']:.1%}  {seconds:.0f} s", file=sys.stderr)
        lines += [json.dumps({"set": name} | asdict(outcome)) + "\n" for outcome in outcomes]
    # Whole or not at all: a release takes the file for the measurement of every set.
    if arguments.results:
        write_json(arguments.results, _results(arguments, summaries))
    if arguments.rows:
        write_text(arguments.rows, "".join(lines))
    print(as_table(summaries))


def _results(arguments: SimpleNamespace, sets: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "command": "duet_training.sft.formula_accuracy",
        "reasoner": _state(arguments.out),
        "tries": arguments.tries,
        "temperature": arguments.temperature if arguments.tries > 1 else 0.0,
        "seed": arguments.seed,
        "sets": sets,
    }


def _written(rows: Path) -> dict[tuple[str, str], tuple[str, list[float]]]:
    """Formulas of an earlier measurement, by set and id, with log-probabilities of like extent."""
    found = {}
    for _, row in json_lines(rows):
        count, least = row["tokens"], row["least"]
        others = (row["mean"] * count - least) / max(1, count - 1)
        found[row["set"], row["id"]] = row["formula"], [least, *[others] * (count - 1)]
    return found
