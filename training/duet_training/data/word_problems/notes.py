"""Makes questions whose numbers are in a note: lists, tables and headings in many wordings.

`notes/scenarios.txt` has what notes speak of:

    trip
      a:price = ticket to the museum | museum ticket ! museum, ticket for one
      b = children in the class | class size, children
      ? How much do the museum tickets cost for the class of children? => a*b :: They cost {=}.

An entry has a sort of number, names of which a note has one ("!": for held-out notes only), and a
unit after "@". A question needs some entries; the note has all of them, and some of another note.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from duet_contract.quantities import Quantity, asked, compute, mask, written
from duet_contract.quantities.notes import facts, needed, with_facts
from duet_training.data.story_problems.draw import Split, split_of
from duet_training.data.word_problems.canonical import canonical
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.data.word_problems.slots import SLOT, SORTS, Words, WrittenNumber
from duet_training.errors import DataError

TRIES = 2000
"""Maximum draws of a note's numbers before generation fails."""
_ENTRY = re.compile(
    r"\s+(?P<name>[a-z])(?::(?P<sort>[a-z]+))? = (?P<names>[^!@]+)"
    r"(?:! (?P<held>[^@]+))?(?:@ (?P<unit>.+))?"
)
_QUESTION = re.compile(r"\s+\? (?P<text>.+) => (?P<formula>.+) :: (?P<sentence>.+)")


@dataclass(frozen=True)
class Entry:
    """A quantity that notes have."""

    name: str
    """Its letter in formulas."""
    sort: str
    """Sort of its number (`duet_training.data.word_problems.slots`)."""
    names: tuple[str, ...]
    """What training notes call it."""
    held_out: tuple[str, ...]
    """What held-out notes call it."""
    unit: str
    """Follows the number; empty for none."""


@dataclass(frozen=True)
class NoteQuestion:
    """A question about a note."""

    text: str
    """The question, with slots."""
    formula: str
    """Formula over the letters of entries."""
    sentence: str
    """The answer as a sentence, with slots."""


@dataclass(frozen=True)
class Scenario:
    """What one note speaks of."""

    name: str
    """Its name in the file."""
    entries: tuple[Entry, ...]
    """All its quantities."""
    questions: tuple[NoteQuestion, ...]
    """Questions about them."""


@dataclass(frozen=True)
class NoteProblem:
    """A question, and the note that has its numbers."""

    question: str
    """As a user asks it; without numbers."""
    note: str
    """The note's text."""
    problem: MaskedProblem
    """The question after the facts that a device chooses from the note."""
    complete: bool
    """Whether these have all numbers of the formula; without them, `problem` has no formula."""


@cache
def read_scenarios() -> tuple[Scenario, ...]:
    """Read all scenarios of this package.

    Raises:
        DataError: a line is neither an entry nor a question.
    """
    folder = files("duet_training.data.word_problems") / "notes"
    texts = [file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda f: f.name)]
    return tuple(scenario for text in texts for scenario in parse_scenarios(text))


def parse_scenarios(text: str) -> Iterator[Scenario]:
    """Parse the scenarios of a file.

    Raises:
        DataError: a line is neither an entry nor a question.
    """
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    starts = [place for place, line in enumerate(lines) if not line[0].isspace()]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        entries: list[Entry] = []
        questions: list[NoteQuestion] = []
        for line in lines[start + 1 : end]:
            if question := _QUESTION.fullmatch(line):
                questions.append(NoteQuestion(*(part.strip() for part in question.groups())))
            elif entry := _ENTRY.fullmatch(line):
                names, held = (_names(entry[group]) for group in ("names", "held"))
                unit = (entry["unit"] or "").strip()
                entries.append(Entry(entry["name"], entry["sort"] or "", names, held, unit))
            else:
                raise DataError(f"notes: neither an entry nor a question: {line.strip()[:60]}")
        yield Scenario(lines[start].strip(), tuple(entries), tuple(questions))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split("|")) if text else ()


def generated_notes(
    rng: random.Random, split: Split, *, held_out: bool = False
) -> Iterator[NoteProblem]:
    """Generate an endless stream of questions about notes; none is in two splits with its facts.

    Notes that are `held_out` have names and layouts that training notes never have.
    """
    scenarios = read_scenarios()
    while True:
        scenario = rng.choice(scenarios)
        made = note_problem(scenario, rng.choice(scenario.questions), rng, held_out=held_out)
        if split_of(made.problem.question) == split:
            yield made


def note_problem(
    scenario: Scenario, question: NoteQuestion, rng: random.Random, *, held_out: bool = False
) -> NoteProblem:
    """Generate a note for one question, and choose its facts as a device does.

    Raises:
        DataError: no numbers of the note give an answer.
    """
    words = Words(rng)
    other = rng.choice([each for each in read_scenarios() if each.name != scenario.name])
    strangers = rng.sample(other.entries, rng.randint(0, min(3, len(other.entries))))
    entries = [*scenario.entries, *strangers]
    text, sentence = (
        SLOT.sub(lambda slot: words.slot(slot[1]), part)
        for part in (question.text, question.sentence)
    )
    numbers = _draw(entries, scenario, question, text, rng)
    order = rng.sample(range(len(entries)), len(entries)) if rng.random() < 0.5 else None
    told = [
        (_named(entry, words, rng, held_out=held_out), _value(entry, number, words))
        for entry, number in zip(entries, numbers, strict=True)
    ]
    layout = rng.choice(HELD_OUT_LAYOUTS if held_out else LAYOUTS)
    note = _laid_out(layout, [told[i] for i in order or range(len(told))], scenario.name)
    whole = with_facts(text, needed(text, facts(note)))
    masked = mask(whole)
    labels = {
        entry.name: [each.name for each in masked.quantities if each.value == number.value]
        for entry, number in zip(scenario.entries, numbers, strict=False)
    }
    used = sorted(set(re.findall(r"\b[a-z]\b", question.formula)))
    complete = all(labels[name] for name in used)
    formula = ""
    if complete:
        formula = canonical(
            re.sub(r"\b[a-z]\b", lambda found: labels[found[0]][0], question.formula)
        )
    quantities = _quantities(scenario, numbers)
    answer = written(compute(question.formula, quantities).value, asked(masked.text))
    problem = MaskedProblem(f"notes/{scenario.name}", whole, formula, answer, "notes", sentence)
    return NoteProblem(text, note, problem, complete)


def _draw(
    entries: Sequence[Entry],
    scenario: Scenario,
    question: NoteQuestion,
    text: str,
    rng: random.Random,
) -> list[WrittenNumber]:
    """Draw different numbers with which the formula gives a plausible answer."""
    whole = asked(text).sort == "count"
    for _ in range(TRIES):
        numbers = [SORTS[entry.sort][0](rng, *SORTS[entry.sort][1:]) for entry in entries]
        if len({number.value for number in numbers}) < len(numbers):
            continue
        results = compute(question.formula, _quantities(scenario, numbers)).work
        value = results[-1].result
        if value > 0 and (value.denominator == 1 or not whole) and (value * 100).denominator == 1:
            return numbers
    raise DataError(f"notes: no numbers of {scenario.name} give an answer: {question.text}")


def _quantities(scenario: Scenario, numbers: Sequence[WrittenNumber]) -> list[Quantity]:
    return [
        Quantity(entry.name, number.text, number.value, "number")
        for entry, number in zip(scenario.entries, numbers, strict=False)
    ]


def _named(entry: Entry, words: Words, rng: random.Random, *, held_out: bool) -> str:
    name = rng.choice(entry.held_out if held_out and entry.held_out else entry.names)
    return SLOT.sub(lambda slot: words.slot(slot[1]), name)


def _value(entry: Entry, number: WrittenNumber, words: Words) -> str:
    if entry.sort in ("money", "price"):
        return words.money(number.text)
    space = "" if entry.unit in ("", "%") else " "
    return f"{number.text}{space}{entry.unit}"


# What a note begins with, each of its lines, and what is between two lines.
LAYOUTS = (
    ("", "{Name}: {value}", "\n"),
    ("# {Title}\n", "- {name}: {value}", "\n"),
    ("{Title}:\n", "{name} = {value}", "\n"),
    ("| what | how much |\n|---|---|\n", "| {name} | {value} |", "\n"),
)
HELD_OUT_LAYOUTS = (
    ("My notes on the {title}\n\n", "{name} ({value})", "\n"),
    ("item;amount\n", "{name};{value}", "\n"),
    ("", "{row}. {name} - {value}", "\n"),
    ("About the {title}. ", "{Name}: {value}.", " "),
)


def _laid_out(layout: tuple[str, str, str], told: Sequence[tuple[str, str]], title: str) -> str:
    """Write a note of names and values; `{Name}` and `{Title}` begin with a capital."""
    head, line, between = layout
    lines = (
        line.format(row=row, name=name, Name=name[:1].upper() + name[1:], value=value)
        for row, (name, value) in enumerate(told, start=1)
    )
    head = head.format(title=title, Title=title[:1].upper() + title[1:])
    return head + between.join(lines)
