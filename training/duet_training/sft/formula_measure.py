"""`duet-train sft formula-accuracy OUT FILE...`: how often formulas are right.

Greedy formulas of a reasoner in training (OUT as `duet-train sft formulas` writes it),
computed exactly, over files of problems (JSONL with `question` and `answer`) and over generated
problems that no model was trained on.
"""

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from duet_contract.errors import FormulaError
from duet_contract.quantities import Value, asked, check, compute, written
from duet_contract.quantities.formula import NO_FORMULA
from duet_report.intervals import bootstrap_mean, bounds
from duet_report.tables import markdown
from duet_training.data.jsonl import read_jsonl
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.pair.description import Pair, load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.verl_backend.cpu.batch import respond
from duet_training.verl_backend.cpu.sampler import SeededSampler

LIMIT = 64
"""Tokens of a formula."""
ROWS = 32
_TOLERANCE = Fraction(1, 10**6)


@dataclass(frozen=True)
class Outcome:
    """One question's formula."""

    id: str
    question: str
    """Masked."""
    formula: str
    answer: str
    """Empty if the formula cannot be computed."""
    reference: str
    right: bool
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


class Formulas:
    """A reasoner that writes formulas."""

    def __init__(self, pair: Pair, base: Path | None, adapter: Path) -> None:
        """Loads the model: the base with its adapter, or the pair's own if `base` is None."""
        model = AutoModelForCausalLM.from_pretrained(
            base or pair.reasoner.path, dtype=torch.bfloat16
        )
        if base:
            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        self._model = model.eval()
        self._prompts = PairPrompts(pair)

    def write(self, questions: Sequence[str]) -> list[tuple[str, list[float]]]:
        """A formula for each masked question, and its tokens' log-probabilities."""
        prompts = [self._prompts.reasoner(question) for question in questions]
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        found: dict[int, tuple[str, list[float]]] = {}
        stops = [self._prompts.end_of_reasoning]
        for start in range(0, len(order), ROWS):
            chosen = order[start : start + ROWS]
            sampler = SeededSampler([0] * len(chosen), temperature=0.0)
            rows = [prompts[place] for place in chosen]
            responses = respond(self._model, rows, sampler, LIMIT, stops)
            for place, (ids, log_probs) in zip(chosen, responses, strict=True):
                text = self._prompts.signal_text(self._prompts.signal(ids))
                found[place] = text, log_probs
        return [found[place] for place in range(len(prompts))]


def judge(problem: MaskedProblem, formula: str, log_probs: Sequence[float]) -> Outcome:
    """Computes a formula and compares the answer with the reference."""
    masked = problem.masked
    answer, checks, earlier = "", {}, False
    right = problem.formula == formula == NO_FORMULA
    try:
        value = compute(formula, masked.quantities)
    except FormulaError:
        pass
    else:
        answer = written(value.value, asked(masked.text))
        checks = check(masked, value).features()
        right = is_right(value.value, answer, problem.answer)
        earlier = not right and _earlier(value, problem.answer)
    return Outcome(
        id=problem.id,
        question=masked.text,
        formula=formula,
        answer=answer,
        reference=problem.answer,
        right=right,
        earlier=earlier,
        tokens=len(log_probs),
        least=min(log_probs),
        mean=sum(log_probs) / len(log_probs),
        checks=checks,
    )


def is_right(value: Fraction, answer: str, reference: str) -> bool:
    """Whether a result is the reference: exactly, as written, or within its rounding.

    Examples:
        >>> is_right(Fraction(2, 3), "0.67", "0.6666666667"), is_right(Fraction(3), "3", "4")
        (True, False)
    """
    try:
        wanted = Fraction(reference.replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return answer == reference
    near = _TOLERANCE * max(Fraction(1), abs(wanted))
    return abs(value - wanted) <= near or abs(Fraction(answer) - wanted) <= near


def _earlier(value: Value, reference: str) -> bool:
    return any(is_right(step.result, str(step.result), reference) for step in value.work[:-1])


def summary(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Figures of a set; accuracy with its 95% bootstrap interval."""
    right = np.array([[float(outcome.right)] for outcome in outcomes])
    count = len(outcomes)
    return {
        "set": name,
        "questions": count,
        "accuracy": float(right.mean()),
        "interval": bounds(bootstrap_mean(right)),
        "tokens": sum(outcome.tokens for outcome in outcomes) / count,
        "earlier": sum(outcome.earlier for outcome in outcomes) / count,
        "not_computed": sum(not outcome.answer for outcome in outcomes) / count,
    }


def as_table(summaries: Sequence[dict[str, Any]]) -> str:
    """Summaries as Markdown."""
    head = ("set", "questions", "right (95% CI)", "tokens", "earlier step right", "no value")
    rows = [
        (
            each["set"],
            str(each["questions"]),
            f"{each['accuracy']:.1%} ({each['interval'][0]:.1%}-{each['interval'][1]:.1%})",
            f"{each['tokens']:.1f}",
            f"{each['earlier']:.1%}",
            f"{each['not_computed']:.1%}",
        )
        for each in summaries
    ]
    return markdown(head, rows)


def _problems(arguments: SimpleNamespace) -> dict[str, list[MaskedProblem]]:
    sets: dict[str, list[MaskedProblem]] = {}
    for file in arguments.files:
        rows, _ = read_jsonl(file, "math")
        if arguments.part and arguments.part < len(rows):
            rows = random.Random(f"{file.stem}/{arguments.seed}").sample(rows, arguments.part)
        sets[file.stem] = [
            MaskedProblem(row.id, row.question, "", row.answer, file.stem) for row in rows
        ]
    count = arguments.generated
    if count:
        for name, held_out in (("generated", False), ("held-out templates", True)):
            drawn = generated(random.Random(f"{name}/{arguments.seed}"), "test", held_out=held_out)
            sets[name] = list(islice(drawn, count))
    return sets


def measure_formulas(arguments: SimpleNamespace) -> None:
    """Measures and prints a table."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    pair = load_pair(arguments.out / "pair.yaml")
    reasoner = Formulas(pair, arguments.base, arguments.out / "adapter")
    summaries = []
    lines: list[str] = []
    for name, problems in _problems(arguments).items():
        started = time.monotonic()
        formulas = reasoner.write([problem.masked.text for problem in problems])
        outcomes = [
            judge(problem, formula, log_probs)
            for problem, (formula, log_probs) in zip(problems, formulas, strict=True)
        ]
        summaries.append(summary(name, outcomes))
        seconds = time.monotonic() - started
        print(f"{name}: {summaries[-1]['accuracy']:.1%}  {seconds:.0f} s", file=sys.stderr)
        lines += [json.dumps({"set": name} | asdict(outcome)) + "\n" for outcome in outcomes]
    print(as_table(summaries))
    if arguments.rows:
        arguments.rows.write_text("".join(lines), "utf-8")
