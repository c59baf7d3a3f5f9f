"""Makes word problems from templates, in the many ways in which people put the same problem."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from duet_contract.quantities import (
    OUT_OF_REACH,
    Masked,
    Quantity,
    asked,
    asked_by,
    compute,
    mask,
    written,
)
from duet_contract.quantities.formula import NO_FORMULA
from duet_training.data.story_problems.draw import Split, split_of
from duet_training.data.word_problems.canonical import canonical
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.data.word_problems.slots import (
    SLOT,
    SORTS,
    WORDS,
    Words,
    WrittenNumber,
    with_articles,
)
from duet_training.data.word_problems.templates import Template, read_templates
from duet_training.errors import DataError

TRIES = 2000
"""Maximum draws of a template's numbers before generation fails."""
_SHARES = {"bare": 0.02, "outside": 0.06}
"""Share of problems of families that are not word problems, and not rephrased, of all others."""
_SHUFFLED = re.compile(r"\(([^()]* ~ [^()]*)\)")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
# `{a}`, `{a:money}`, or `{a=five}`: a number that the template says and the formula uses.
_NUMBER = re.compile(r"\{([a-z])(?::([a-z]+)|=([^{}]+))?\}")
_SENTENCE_END = re.compile(r"(?<!Mr\.)(?<!Ms\.)(?<!Mrs\.)(?<=[.?!])\s+")
_SENTENCE_START = re.compile(r"(?<=[.?!] )[a-z]")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_NOT_A_CONDITION = re.compile(
    r"(?:then|later|now|after|if|when|next|on|last|once|had|think|mix|stir|split|divide|buy)\b|.*[;:]",
    re.IGNORECASE,
)
# These need not be whole, and are in most problems.
_USUALLY_WHOLE = re.compile(r"\bhow many (?:degrees|square feet|times)\b", re.IGNORECASE)
_PUNCTUATION = re.compile(r"(?<=[\w%\]])([.,?!])(?=\s|$)")


@dataclass(frozen=True)
class Style:
    """Shares of problems that are rephrased."""

    distracted: float = 0.22
    """The problem contains a fact that the answer does not need."""
    scene: float = 0.1
    """A sentence without numbers comes first."""
    context: float = 0.12
    """The first sentence begins with a time or place."""
    conditional: float = 0.2
    """The last fact is a condition of the question: "If ..., how many ...?"."""
    turned: float = 0.08
    """The question comes first: "How many ... if ...?"."""
    lower: float = 0.05
    """Everything is in lower case."""
    spaced: float = 0.05
    """A space precedes punctuation, as in old collections of problems."""


def generated(
    rng: random.Random, split: Split, *, held_out: bool = False
) -> Iterator[MaskedProblem]:
    """Generate an endless stream of problems of training templates, or of `held_out` ones.

    Problems may repeat, and none is in two splits.

    Raises:
        DataError: A template has no numbers that give an answer.
    """
    templates = [template for template in read_templates() if template.held_out == held_out]
    counts = Counter(template.family for template in templates)
    weights = [_weight(template.family, counts) for template in templates]
    while True:
        template = rng.choices(templates, weights)[0]
        problem = instantiate(template, rng, Style())
        if split_of(problem.question) == split:
            yield problem


def instantiate(template: Template, rng: random.Random, style: Style) -> MaskedProblem:
    """Generate one problem of a template.

    Raises:
        DataError: the template has no numbers that give an answer.
    """
    words = Words(rng)
    text = _SHUFFLED.sub(lambda found: _shuffled(found[1], rng), template.text)
    text = choose(f"{text} :: {template.sentence}", rng)
    text = with_articles(SLOT.sub(lambda slot: words.slot(slot[1]), text))
    body, _, sentence = text.partition(" :: ")
    sentences = [_upper_first(each) for each in _SENTENCE_END.split(" ".join(body.split()))]
    if template.family not in _SHARES:
        sentences = _restyled(sentences, rng, style, words)
    question = " ".join(sentences)
    numbers = _numbers(question, template, rng)
    question = _NUMBER.sub(lambda hole: _text(hole, numbers, words), question)
    question = _SENTENCE_START.sub(lambda found: found[0].upper(), question)
    question = _noisy(_units_once(question), rng, style)
    masked = mask(question)
    if template.formula == NO_FORMULA:
        return MaskedProblem(template.id, question, NO_FORMULA, "", template.family, OUT_OF_REACH)
    formula = _relabelled(template, masked, numbers)
    value = compute(formula, masked.quantities)
    answer = written(value.value, asked_by(masked, sentence, value))
    return MaskedProblem(
        template.id, question, formula, answer, template.family, _upper_first(sentence)
    )


def _weight(family: str, counts: Counter[str]) -> float:
    """Return how often a template of a family is drawn, relative to most others."""
    if family not in _SHARES:
        return 1.0
    others = sum(count for name, count in counts.items() if name not in _SHARES)
    return _SHARES[family] * max(others, 1) / counts[family]


def choose(text: str, rng: random.Random) -> str:
    """Make the choices `[one|other]` of a template's text."""
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda choice: rng.choice(choice[1].split("|")), text)
    return text


def _shuffled(sentences: str, rng: random.Random) -> str:
    parts = sentences.split(" ~ ")
    if rng.random() < 0.4:
        rng.shuffle(parts)
    return " ".join(parts)


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _restyled(sentences: list[str], rng: random.Random, style: Style, words: Words) -> list[str]:
    *facts, question = sentences
    if facts and rng.random() < style.context and not facts[0].startswith(("At ", "In ", "On ")):
        facts[0] = _filled(rng.choice(WORDS["contexts"]), rng, words) + words.continued(facts[0])
    if rng.random() < style.scene:
        facts.insert(0, _filled(rng.choice(WORDS["scenes"]), rng, words))
    dice = rng.random()
    if facts and question.startswith(("How", "What")) and question.endswith("?"):
        fact = facts[-1]
        if fact.endswith(".") and _FIRST_WORD.match(fact) and not _NOT_A_CONDITION.match(fact):
            condition = words.continued(fact.removesuffix("."))
            if dice < style.conditional:
                joint = rng.choice((", ", " ", ", then "))
                question = f"If {condition}{joint}{question[0].lower()}{question[1:]}"
                facts = facts[:-1]
            elif dice < style.conditional + style.turned:
                question = f"{question.removesuffix('?')} if {condition}?"
                facts = facts[:-1]
    if rng.random() < style.distracted:
        told = _filled(rng.choice(WORDS["distractors"]), rng, words)
        facts.insert(rng.randint(min(1, len(facts)), len(facts)), told)
    return [*facts, question]


def _filled(text: str, rng: random.Random, words: Words) -> str:
    """Fill the choices and slots of a sentence or of its beginning."""
    told = SLOT.sub(lambda found: words.slot(found[1]), choose(text, rng))
    return _upper_first(with_articles(told))


def _numbers(question: str, template: Template, rng: random.Random) -> dict[str, WrittenNumber]:
    """Draw numbers with which the template's formula gives a plausible answer."""
    holes = list(_NUMBER.finditer(question))
    sorts = {hole[1]: hole[2] or "" for hole in holes if not hole[3]}
    said = {hole[1]: _said(hole[3]) for hole in holes if hole[3]}
    whole = asked(question).sort == "count" or bool(_USUALLY_WHOLE.search(question))
    # Labels are found by value, so values must be unique.
    taken = [quantity.value for quantity in mask(_NUMBER.sub("", question)).quantities]
    for tried in range(TRIES):
        numbers = dict(said)
        for name, sort in sorts.items():
            draw, low, high = SORTS[sort]
            numbers[name] = draw(rng, low, high)
        values = [*taken, *(number.value for number in numbers.values())]
        if len(set(values)) < len(values):
            continue
        quantities = [
            Quantity(name, number.text, number.value, "number") for name, number in numbers.items()
        ]
        if template.formula == NO_FORMULA:
            return numbers
        value = compute(template.formula, quantities)
        # A share of awkward results is left in: real problems have them, too.
        strict = tried < TRIES * 3 // 4
        if _is_plausible([work.result for work in value.work], whole, strict):
            return numbers
    raise DataError(f"template {template.id} has no numbers that give an answer")


def _said(text: str) -> WrittenNumber:
    """Read a number that is part of a template."""
    return WrittenNumber(mask(text).quantities[0].value or Fraction(), text)


def _is_plausible(results: list[Fraction], whole: bool, strict: bool) -> bool:
    answer = results[-1]
    if answer <= 0 or any(result < 0 for result in results):
        return False
    if whole and answer.denominator > 1:
        return False
    return not strict or (answer * 100).denominator == 1


def _text(hole: re.Match[str], numbers: dict[str, WrittenNumber], words: Words) -> str:
    text = numbers[hole[1]].text
    return words.money(text) if hole[2] in ("money", "price") else text


def _units_once(question: str) -> str:
    """Remove the currency word after its sign, as in "$5 dollars"."""
    return re.sub(r"([$€£]\d[\d.,]*) (?:dollars|euros|pounds)\b", r"\1", question)


def _noisy(question: str, rng: random.Random, style: Style) -> str:
    if rng.random() < style.lower:
        question = question.lower()
    if rng.random() < style.spaced:
        question = _PUNCTUATION.sub(r" \1", question)
    return question


def _relabelled(template: Template, masked: Masked, numbers: dict[str, WrittenNumber]) -> str:
    """Rewrite the template's formula over the labels of the question."""
    labels: dict[str, str] = {}
    for name, number in numbers.items():
        found = [each.name for each in masked.quantities if each.value == number.value]
        if name in _names(template.formula):
            labels[name] = found[0]
    formula = re.sub(r"\b[a-z]\b", lambda found: labels[found[0]], template.formula)
    return canonical(formula)


def _names(formula: str) -> set[str]:
    return set(re.findall(r"\b[a-z]\b", formula))
