"""Generated notes: their numbers, their wordings, and what a device chooses of them."""

import random
from fractions import Fraction
from itertools import islice

import pytest

from duet_contract.quantities import compute, mask
from duet_contract.quantities.notes import facts
from duet_training.data.story_problems.draw import split_of
from duet_training.data.word_problems.canonical import canonical
from duet_training.data.word_problems.notes import (
    generated_notes,
    note_problem,
    parse_scenarios,
    read_scenarios,
)
from duet_training.errors import DataError

SCENARIO = """
trip
  a:price = ticket | price of a ticket ! admission fee
  b = class size ! children in the class @ heads
  ? What does the class pay for tickets? => a*b :: It is {=}.
"""


@pytest.mark.parametrize("scenario", read_scenarios(), ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("held_out", [False, True])
def test_every_question_about_a_note_has_a_formula_that_gives_the_answer(scenario, held_out):
    for question in scenario.questions:
        made = note_problem(scenario, question, random.Random(0), held_out=held_out)
        assert not mask(made.question).quantities
        assert made.problem.question.endswith(made.question)
        assert question.sentence.count("{=}") == 1
        signs = set("<>{}|~")
        assert not signs & {*made.problem.question, *made.problem.sentence.replace("{=}", "")}
        if made.complete:
            formula = made.problem.formula
            value = compute(formula, made.problem.masked.quantities).value
            assert formula == canonical(formula)
            assert abs(Fraction(made.problem.answer) - value) <= Fraction(1, 100)
        else:
            assert made.problem.formula == ""


def test_entries_have_names_that_only_held_out_notes_use() -> None:
    for scenario in read_scenarios():
        for entry in scenario.entries:
            assert len(entry.names) > 1, entry
            assert entry.held_out, entry
            assert not set(entry.names) & set(entry.held_out), entry


@pytest.mark.parametrize("held_out", [False, True])
def test_a_device_chooses_what_the_formula_needs_of_most_notes(held_out: bool) -> None:
    made = list(islice(generated_notes(random.Random(1), "test", held_out=held_out), 100))
    assert {split_of(each.problem.question) for each in made} == {"test"}
    assert sum(each.complete for each in made) >= 90
    # The rest of a note stays on the device.
    known = sum(len(facts(each.note)) for each in made)
    sent = sum(len(each.problem.masked.quantities) for each in made)
    assert sent < 0.6 * known


def test_held_out_notes_have_other_names_and_layouts() -> None:
    (scenario,) = parse_scenarios(SCENARIO)
    for seed in range(20):
        for held_out in (False, True):
            rng = random.Random(seed)
            made = note_problem(scenario, scenario.questions[0], rng, held_out=held_out)
            assert ("admission fee" in made.note.lower()) == held_out
            assert ("class size" in made.note.lower()) != held_out
            assert " heads" in made.note


def test_a_line_that_is_neither_entry_nor_question_is_named() -> None:
    with pytest.raises(DataError, match="neither an entry nor a question: a ticket"):
        list(parse_scenarios("trip\n  a ticket costs 7\n"))
    (scenario,) = parse_scenarios(SCENARIO.replace("a*b", "0-a*b"))
    with pytest.raises(DataError, match="no numbers of trip"):
        note_problem(scenario, scenario.questions[0], random.Random(0))
