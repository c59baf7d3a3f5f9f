"""Notes: which lines are facts, and which of them a question needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.quantities import compute, mask
from duet_contract.quantities.checks import check
from duet_contract.quantities.masking import Masked
from duet_contract.quantities.notes import MOST_FACTS, facts, needed, with_facts


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("ticket: $7.50", ("ticket: $7.50.",)),
        ("- ticket: $7.50\n* bus = 180\n3. lunch - 4", ("ticket: $7.50.", "bus = 180.", "lunch - 4.")),
        ("We go in May. The class has 24 children! Who pays?", ("The class has 24 children!",)),
        ("# Trip\n\nticket: 7\n\n# Shop\nbox: 9", ("ticket: 7.", "Shop, box: 9.")),
        ("# Trip\nticket: 7\nbus: 9", ("ticket: 7.", "bus: 9.")),
        ("Trip:\nticket: 7\n\nShop:\nticket: 9", ("Trip, ticket: 7.", "Shop, ticket: 9.")),
        ("|what|cost|\n|---|---|\n|bus|180|\n|tip|none|", ("bus, cost: 180.",)),
        ("| bus | 180 |\n| tip | 3 |", ("bus: 180.", "tip: 3.")),
        ("name;age;city\nAnn;31;Oslo\nBo;28;Rome", ("Ann, age: 31.", "Bo, age: 28.")),
        ("name,age\nAnn,31", ("Ann, age: 31.",)),
        ("year,sold\n2024,31", ("2024, sold: 31.",)),
        ("loan = 2,884 dollars\nrent = 300 dollars", ("loan = 2,884 dollars.", "rent = 300 dollars.")),
        ("No numbers here.\n\n---\n17\n", ()),
        ("bus: 7\nbus: 7", ("bus: 7.",)),
        # A cell longer than the csv module reads.
        (f"bus|{'a' * 140_000} 5\ntip|3", (f"bus: {'a' * 140_000} 5.", "tip: 3.")),
    ],
)  # fmt: skip
def test_facts_of_notes(note: str, expected: tuple[str, ...]) -> None:
    assert facts(note) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What does the bus cost?", ("Bus: 180.",)),
        ("What do tickets for the class cost?", ("Ticket: 7.", "Class size: 24.")),
        ("How old is Ann?", ()),
        ("What is the price of lunch?", ("Price of lunch: 4.",)),
    ],
)
def test_a_question_names_the_facts_that_it_needs(question: str, expected: tuple[str, ...]) -> None:
    known = facts(
        "Bus: 180\nTicket: 7\nClass size: 24\nPrice of lunch: 4\nPrice of tea: 2\nPrice of cake: 3"
    )
    assert needed(question, known) == expected


def test_not_more_facts_than_the_prompt_holds() -> None:
    known = facts("\n".join(f"pens of {name}: {n}" for n, name in enumerate("abcdefghijkl")))
    assert 0 < len(needed("How many pens are there?", known)) <= MOST_FACTS


@given(st.lists(st.text(max_size=40), max_size=12).map("\n".join), st.text(max_size=60))
def test_any_note_gives_facts_with_numbers_and_none_of_them_is_sent(note: str, text: str) -> None:
    known = facts(note)
    assert all(mask(fact).quantities for fact in known)
    chosen = needed(text, known)
    assert list(chosen) == [fact for fact in known if fact in chosen]
    assert not any(char.isdecimal() for char in mask(with_facts(text, chosen)).text)


def test_a_formula_need_not_use_every_fact() -> None:
    whole = mask("Ticket: 7. Bus: 180. How much are 24 tickets and 3 coats?")
    noted = Masked(whole.text, whole.quantities, from_notes=2)
    assert check(noted, compute("a*c", whole.quantities)).unused == 1
    assert check(whole, compute("a*c", whole.quantities)).unused == 2
    assert check(noted, compute("5", whole.quantities)).unused == 4
