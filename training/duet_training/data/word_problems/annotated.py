"""Reads GSM8K's annotated solutions (`<<48/2=24>>`) as formulas over the masked question."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from string import ascii_uppercase

from duet_contract.answers.worked import final_line
from duet_contract.errors import FormulaError
from duet_contract.quantities import Masked, Quantity, check, compute, mask
from duet_training.data.jsonl import json_lines
from duet_training.data.word_problems.answer_sentences import last_sentence
from duet_training.data.word_problems.canonical import canonical
from duet_training.data.word_problems.equations import Equation, find_equations, is_number
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.errors import DataError

_WORD = re.compile(r"[^\W\d_]+")
# What a reasoner may write without the question's having it: parts, halves, dozens, units of time,
# of length and of money, percent.
_WHOLE = (*range(1, 13), 14, 16, 20, 24, 25, 28, 30, 31, 36, 48, 50, 52, 60, 90, 100, 180, 360)
_PARTS = ("0.1", "0.01", "0.05", "0.2", "0.25", "0.5", "0.75", "1.5", "2.5")
_CONSTANTS = frozenset(map(Fraction, (*_WHOLE, 365, 366, 1000, 3600, 5280, *_PARTS)))
# Constants that are added or taken away, each with what the question then speaks of.
_ADDED = re.compile(r"(?:(?<=[+-])|(?<![\w*/.]))\d+(?![\w*/.%])")
_ADDEND = {
    number: re.compile(words, re.IGNORECASE)
    for number, words in {
        **dict.fromkeys(("1", "2", "100"), ""),
        "7": "week",
        "12": r"a\.?m|p\.?m|noon|dozen|month|year",
        "24": "hour|day",
        "60": "hour|minute",
        "90": "angle|degree",
        "180": "angle|degree|triangle",
        "360": "degree",
        "365": "year",
    }.items()
}
MOST_UNUSED = 1
# Words that a number in a solution may stand for, although the question may have it as well.
RELATIONS = {
    Fraction(value): re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for value, words in {
        "2": "twice|double[ds]?|half|halves|both|couple|pairs?|two",
        "3": "thrice|triple[ds]?|third",
        "4": "quarter|fourth|quadruple[ds]?",
        "5": "fifth|weekdays?",
        "7": "weeks?|weekly|daily|every day|each day",
        "12": "dozens?|years?|months?|monthly|annual(?:ly)?",
        "60": "hours?|minutes?",
        "100": "percent|percentage|cents?",
    }.items()
}


@dataclass
class Conversion:
    """Result of a conversion."""

    problems: list[MaskedProblem]
    """The converted problems."""
    left_out: Counter[str]
    """Number of solutions that were left out, by reason."""


def read_annotated(file: Path) -> Conversion:
    """Convert a JSONL file as GSM8K writes it.

    A line has a `question` and an `answer`: the worked solution with annotated equations, up to
    "#### 72". The solution may be in `solution` instead.

    Raises:
        DataError: The file is unreadable, a line lacks these fields, or no solution converts.
    """
    found = Conversion([], Counter())
    for name, question, solution, answer in annotated_rows(file):
        try:
            formula = to_formula(mask(question), solution, answer)
        except FormulaError as error:
            found.left_out[str(error)] += 1
            continue
        found.problems.append(
            MaskedProblem(name, question, formula, answer, "annotated", last_sentence(solution))
        )
    if not found.problems:
        raise DataError(f"{file} has no solution whose annotated equations lead to its answer")
    return found


def annotated_rows(file: Path) -> Iterator[tuple[str, str, str, str]]:
    """Read names, questions, solutions and answers of a file.

    Raises:
        DataError: The file is unreadable, or a line lacks these fields.
    """
    for number, row in json_lines(file):
        try:
            question, worked = str(row["question"]), str(row["answer"])
        except KeyError as error:
            raise DataError(f"{file}, line {number}: no {error}") from error
        name = str(row.get("id") or f"{file.stem}/{number}")
        answer = final_line(worked).replace(",", "")
        yield name, question, str(row.get("solution") or worked), answer


def to_formula(
    masked: Masked, solution: str, answer: str, most_unused: int | None = MOST_UNUSED
) -> str:
    """Rewrite an annotated solution over labels.

    The formula may leave out `most_unused` quantities; None for any number of them.

    Raises:
        FormulaError: a number is neither the question's nor an earlier result nor a usual
            constant, or the formula does not give the answer.

    Examples:
        >>> question = mask("Ann has 48 pens and sells half of them. How many has she sold?")
        >>> to_formula(question, "She sold 48/2=<<48/2=24>>24.", "24")
        'a/2'
    """
    try:
        wanted = Fraction(answer)
    except (ValueError, ZeroDivisionError) as error:
        raise FormulaError("the answer is not a number") from error
    equations = find_equations(solution)
    converter = _Converter(masked, equations)
    last = 0
    for equation in equations:
        converter.add(equation)
        if converter.results and converter.results[-1] == wanted:
            last = len(converter.steps)
    if not last:
        raise FormulaError("no annotated equation gives the answer")
    formula = canonical(";".join(converter.steps[:last]))
    for number in _ADDED.findall(formula):
        usual = _ADDEND.get(number)
        if not usual or not usual.search(masked.text):
            raise FormulaError("an unusual number is added")
    value = compute(formula, masked.quantities)
    if value.value != wanted:
        raise FormulaError("the formula does not give the answer")
    if most_unused is not None and check(masked, value).unused > most_unused:
        # Such a formula is usually right by coincidence.
        raise FormulaError("the formula leaves too many quantities out")
    return formula


class _Converter:
    """Steps so far, and what numbers in the next one may be."""

    def __init__(self, masked: Masked, equations: list[Equation]) -> None:
        self._masked = masked
        self._occurrences = Counter(
            Fraction(symbol)
            for equation in equations
            for symbol in equation.symbols
            if is_number(symbol)
        )
        self._around = dict(_surroundings(masked))
        self._unused = {quantity.name for quantity in masked.quantities}
        self._percents = _followed_by(r"\s*%|[ -]per ?cent", masked)
        self._cents = _followed_by(r"[ -]cents?\b", masked)
        self.steps: list[str] = []
        self.results: list[Fraction] = []
        self._open: set[int] = set()

    def add(self, equation: Equation) -> None:
        """One equation of the solution."""
        self.steps.append("".join(self._rewritten(list(equation.symbols), equation.near)))
        self.results.append(equation.result)
        self._open.add(len(self.results) - 1)
        if len(self.steps) > len(ascii_uppercase):
            raise FormulaError("there are too many steps")

    def _rewritten(self, symbols: list[str], near: str) -> list[str]:
        words = set(_words(near))
        written: list[str] = []
        place = 0
        while place < len(symbols):
            symbol = symbols[place]
            if not is_number(symbol):
                written.append(symbol)
                place += 1
                continue
            share = symbols[place : place + 3]
            alone = not written or written[-1] not in "*/"
            if len(share) == 3 and share[1] == "/" and is_number(share[2]) and Fraction(share[2]):
                whole = Fraction(share[0]) / Fraction(share[2])
                if share[2] == "100" and (name := self._percent(Fraction(share[0]), words)):
                    written.append(f"{name}%")
                    place += 3
                    continue
                if (alone or written[-1] == "*") and (name := self._fraction(whole, words)):
                    written.append(name)
                    place += 3
                    continue
            if symbols[place + 1 : place + 2] == ["%"]:
                name = self._percent(Fraction(symbol), words)
                if not name:
                    raise FormulaError("a percentage is not the question's")
                written.append(f"{name}%")
                place += 2
                continue
            written.append(self._named(Fraction(symbol), words))
            place += 1
        return written

    def _named(self, value: Fraction, words: set[str]) -> str:
        labels = [quantity for quantity in self._masked.quantities if quantity.value == value]
        steps = [number for number, result in enumerate(self.results) if result == value]
        waiting = [number for number in steps if number in self._open]
        if waiting:
            # A result that nothing has used yet.
            self._open.discard(waiting[-1])
            return ascii_uppercase[waiting[-1]]
        relation = RELATIONS.get(value)
        if labels and relation and relation.search(self._masked.text):
            if not any(label.name in self._unused for label in labels):
                return str(value)
            if self._occurrences[value] > len(labels):
                raise FormulaError("a number may be the question's or a constant")
        if labels:
            return self._label(labels, words)
        if steps:
            return ascii_uppercase[steps[-1]]
        for quantity in self._masked.quantities:
            if quantity.name in self._cents and quantity.value == 100 * value:
                self._unused.discard(quantity.name)
                return f"({quantity.name}/100)"
            if quantity.name not in self._percents or quantity.value is None:
                continue
            for wanted, text in (
                (quantity.value / 100, f"{quantity.name}%"),
                (1 - quantity.value / 100, f"(1-{quantity.name}%)"),
                (1 + quantity.value / 100, f"(1+{quantity.name}%)"),
                (100 - quantity.value, f"(100-{quantity.name})"),
                (100 + quantity.value, f"(100+{quantity.name})"),
            ):
                if wanted == value:
                    self._unused.discard(quantity.name)
                    return text
        if value in _CONSTANTS:
            # A part is written as a quotient, as where the solution itself divides.
            return str(value) if value.denominator == 1 else f"({value})"
        raise FormulaError("a number is neither the question's nor a usual constant")

    def _label(self, labels: list[Quantity], words: set[str]) -> str:
        """The label whose surroundings are most like the solution's words; unused ones first."""

        def likeness(quantity: Quantity) -> tuple[int, bool]:
            common = len(words & self._around[quantity.name])
            return common, quantity.name in self._unused

        if any(label.name in self._unused for label in labels):
            labels = [label for label in labels if label.name in self._unused]
        chosen = max(labels, key=likeness)
        self._unused.discard(chosen.name)
        return chosen.name

    def _percent(self, value: Fraction, words: set[str]) -> str:
        labels = [
            q for q in self._masked.quantities if q.value == value and q.name in self._percents
        ]
        return self._label(labels, words) if labels else ""

    def _fraction(self, value: Fraction, words: set[str]) -> str:
        labels = [q for q in self._masked.quantities if q.value == value and value.denominator > 1]
        return self._label(labels, words) if labels else ""


def _followed_by(pattern: str, masked: Masked) -> set[str]:
    return set(re.findall(rf"\[([a-z]+)\](?:{pattern})", masked.text))


def _surroundings(masked: Masked) -> Iterable[tuple[str, set[str]]]:
    for quantity in masked.quantities:
        before, _, after = masked.text.partition(f"[{quantity.name}]")
        yield quantity.name, {*list(_words(before))[-4:], *list(_words(after))[:5]}


def _words(text: str) -> list[str]:
    return [word.rstrip("s") for word in _WORD.findall(text.lower()) if len(word) > 2]
