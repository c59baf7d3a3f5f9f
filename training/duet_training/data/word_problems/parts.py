"""Makes questions for a part out of worked solutions: real wording, one or two steps, distractors.

A line of a solution, "Ann sold 48/2 = <<48/2=24>>24 clips in May.", says in words what its result
is. Behind the facts of the problem it becomes the question "How many clips did Ann sell in May?".
"""

import random
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from duet_contract.errors import FormulaError
from duet_contract.quantities import mask
from duet_training.data.word_problems.annotated import RELATIONS, annotated_rows, to_formula
from duet_training.data.word_problems.answer_sentences import answer_sentence
from duet_training.data.word_problems.problem import MaskedProblem

MOST_STEPS = 2
"""Of a part's formula; longer ones are what whole problems are for."""
_LINE = re.compile(
    r"^(?P<before>[^<>]*?)\s*=?\s*(?P<sign>[$€£]?)\s*<<[^<>]*=(?P<result>[\d.,]+)>>"
    r"(?P<written>[$\d.,%]*)\s*(?P<after>[^<>]*)$"
)
# Where the expression of a line begins: at its first number or sign.
_EXPRESSION = re.compile(r"\s*[$(]?\.?\d.*$|\s+[-+*/(=$].*$")
_OPENING = re.compile(
    r"^(?:(?:so|then|thus|therefore|hence|next|now|first|second|third|finally|also|and|but|after "
    r"that|this means|that means|in total|altogether|overall|in all|since then|as a result|"
    r"this means that|that means that|combined|together)\b,?\s*)+",
    re.IGNORECASE,
)
_QUIET_END = re.compile(r"\s*(?:a total of|a combined|only|just|about|another|the other|up to)$")
_SENTENCE_END = re.compile(r"(?<!Mr\.)(?<!Ms\.)(?<!Dr\.)(?<!Mrs\.)(?<=[.?!])\s+")
_HEAD = re.compile(
    r"(?P<noun>(?:more |fewer |extra |total |other )?(?:[a-z'-]+ ){0,2}?[a-z'-]+s(?: of [a-z]+)?)\b"
    r"(?P<rest>[^.,;:!?]*)"
)
# A place, time or purpose, which may be at the end of a question as well.
_PLACE = re.compile(
    r"(?:in|on|at|for|from|with|during|over|each|every|after|before|by)\b", re.IGNORECASE
)
_NO_CLAUSE = re.compile(
    r"\b(?:that|which|who|because|and|if|when|where|since|so|but|means|of which)\b", re.IGNORECASE
)
_MOST_OPENING = 6
_DIGIT = re.compile(r"\d")
_MOST_WORDS = 12
# Base form, then its other forms.
_VERBS = """
have has had|sell sells sold|buy buys bought|make makes made|eat eats ate|spend spends spent
earn earns earned|get gets got|need needs needed|use uses used|read reads|write writes wrote
give gives gave|receive receives received|collect collects collected|pick picks picked
plant plants planted|bake bakes baked|run runs ran|walk walks walked|drive drives drove
pay pays paid|save saves saved|work works worked|take takes took|drink drinks drank
catch catches caught|find finds found|own owns owned|lose loses lost|score scores scored
produce produces produced|contain contains contained|hold holds held|keep keeps kept
travel travels traveled|charge charges charged|burn burns burned|bring brings brought
consume consumes consumed|watch watches watched|play plays played|see sees saw|win wins won
order orders ordered|serve serves served|add adds added|raise raises raised|ride rides rode
complete completes completed|owe owes owed|lay lays laid|weigh weighs weighed|cost costs
""".strip()
_PRESENT: dict[str, tuple[str, str]] = {}
for _line in _VERBS.replace("\n", "|").split("|"):
    _base, _third, *_past = _line.split()
    _PRESENT |= {_base: ("do", _base), _third: ("does", _base)}
    _PRESENT |= dict.fromkeys(_past, ("did", _base))
_MODAL = frozenset(["will", "can", "could", "would", "must", "should"])


@dataclass(frozen=True)
class _Line:
    """One step of a solution."""

    question: str
    """Question that the step answers."""
    answer: str
    """Result of the step."""
    sentence: str
    """The result as a sentence; empty: it has none."""


def read_parts(file: Path) -> list[MaskedProblem]:
    """Parts of all problems of a file as `duet_training.data.word_problems.annotated` reads it.

    Raises:
        DataError: unreadable, or a line without a question and an answer.
    """
    found: list[MaskedProblem] = []
    for name, question, solution, _ in annotated_rows(file):
        found += parts_of(question, solution, name, random.Random(name))
    return found


def parts_of(question: str, solution: str, name: str, rng: random.Random) -> list[MaskedProblem]:
    r"""Make questions NAME/1 and so on for the results of single lines, but the last.

    Half of them come without the facts at the end whose numbers they do not need.

    Examples:
        >>> found = parts_of(
        ...     "Ann sold 48 clips in April and half as many in May. How many did she sell?",
        ...     "Ann sold 48/2 = <<48/2=24>>24 clips in May.\nThat is 48+24 = <<48+24=72>>72.",
        ...     "1", random.Random(0))
        >>> found[0].question, found[0].formula  # doctest: +NORMALIZE_WHITESPACE
        ('Ann sold 48 clips in April and half as many in May. How many clips did Ann sell in May?',
         'a/2')
    """
    *facts, last = _SENTENCE_END.split(question.strip())
    if not facts or not last.endswith("?") or any(fact.endswith("?") for fact in facts):
        return []
    lines = [line for line in solution.split("\n") if not line.startswith("####")]
    found: list[MaskedProblem] = []
    for number, text in enumerate(lines[:-1], start=1):
        line = _asked(text)
        if not line:
            continue
        shown = "\n".join(lines[:number])
        part = _problem(facts, line, shown, f"{name}/{number}")
        if part and rng.random() < 0.5:
            needed = _without_the_end(facts, _names(part.formula))
            part = _problem(needed, line, shown, f"{name}/{number}") or part
        if part and part.formula.count(";") < MOST_STEPS and _is_told(part):
            found.append(part)
    return found


def _problem(facts: list[str], line: _Line, solution: str, name: str) -> MaskedProblem | None:
    question = " ".join([*facts, line.question])
    try:
        formula = to_formula(mask(question), solution, line.answer, most_unused=None)
    except FormulaError:
        return None
    return MaskedProblem(name, question, formula, line.answer, "part", line.sentence)


def _is_told(part: MaskedProblem) -> bool:
    """Whether the question has a label, and a word for each constant of the formula."""
    text = part.masked.text
    constants = re.findall(r"(?<![\w.])[\d.]+", part.formula)
    told = all(
        number in RELATIONS and RELATIONS[number].search(text)
        for number in map(Fraction, constants)
    )
    return told and bool(_names(part.formula))


def _names(formula: str) -> set[str]:
    return set(re.findall(r"\b[a-z]{1,2}\b", formula))


def _without_the_end(facts: list[str], needed: set[str]) -> list[str]:
    """Facts up to the last one that has a needed label, or none: it may say what others mean."""
    for count in range(len(facts), 1, -1):
        before, whole = (mask(" ".join(told)) for told in (facts[: count - 1], facts[:count]))
        names = {quantity.name for quantity in whole.quantities[len(before.quantities) :]}
        if not names or names & needed:
            return facts[:count]
    return facts[:1]


def _asked(text: str) -> _Line | None:
    """The question that a line of a solution answers; None if its wording is another."""
    found = _LINE.match(text.strip())
    if not found:
        return None
    before = _OPENING.sub("", _EXPRESSION.sub("", found["before"]).strip())
    before = _QUIET_END.sub("", before).strip(" ,:")
    money = bool(found["sign"]) or "$" in found["written"]
    answer = found["result"].replace(",", "").rstrip(".")
    if not before or _DIGIT.search(before + found["after"]) or "%" in found["written"]:
        return None
    question = _of_money(before, found["after"]) if money else _of_count(before, found["after"])
    if not question or len(question.split()) > _MOST_WORDS + 6:
        return None
    return _Line(" ".join(question.split()) + "?", answer, answer_sentence(text))


def _of_count(before: str, after: str) -> str:
    head = _HEAD.match(after)
    if not head or len(head["rest"].split()) > _MOST_WORDS:
        return ""
    noun, rest = head["noun"], head["rest"]
    if re.fullmatch(r"[Tt]here (?:are|were|is)", before):
        return f"How many {noun} {before.split()[1].replace('is', 'are')} there{rest}"
    if re.fullmatch(r"[Tt]here will be", before):
        return f"How many {noun} will there be{rest}"
    clause, when = _inverted(before)
    return f"How many {noun} {clause}{rest}{when}" if clause else ""


def _of_money(before: str, after: str) -> str:
    rest = re.split(r"[.,;:!?]", after)[0]
    if len(rest.split()) > _MOST_WORDS:
        return ""
    if is_price := re.fullmatch(
        r"(?P<what>(?:The|Her|His|Their|Its|Each|One|A) [\w' -]{2,50}?) (?P<verb>is|was|are|were)",
        before,
    ):
        return f"How much {is_price['verb']} {_lower(is_price['what'])}{_space(rest)}"
    clause, when = _inverted(before)
    return f"How much {clause}{_space(rest)}{when}" if clause else ""


def _inverted(before: str) -> tuple[str, str]:
    """Turns "In May, Ann sold" into "did Ann sell" and " in May"; empty for another clause."""
    opening, comma, clause = before.rpartition(", ")
    when = f" {opening[0].lower()}{opening[1:]}" if comma else ""
    if comma and not (_PLACE.match(opening) and len(opening.split()) <= _MOST_OPENING):
        return "", ""
    words = clause.split()
    if not 2 <= len(words) <= 9 or _NO_CLAUSE.search(clause):
        return "", ""
    verb = words[-1].lower()
    if len(words) > 2 and words[-2] in _MODAL and verb in _PRESENT:
        return f"{words[-2]} {_lower(' '.join(words[:-2]))} {verb}", when
    if verb not in _PRESENT:
        return "", ""
    auxiliary, base = _PRESENT[verb]
    subject = " ".join(words[:-1])
    if auxiliary == "do" and subject.lower() not in ("they", "we", "you", "i"):
        # "read", "cost" and others have one form for both tenses.
        auxiliary = "did"
    return f"{auxiliary} {_lower(subject)} {base}", when


def _lower(subject: str) -> str:
    """The subject as it is written inside a sentence."""
    first = subject.split()[0]
    common = {"The", "A", "An", "Each", "Her", "His", "Their", "Its", "She", "He", "It", "They"}
    common |= {"We", "You", "One", "All", "Every", "Both", "Another", "This", "That", "These"}
    return subject[0].lower() + subject[1:] if first in common else subject


def _space(rest: str) -> str:
    return f" {rest.strip()}" if rest.strip() else ""
