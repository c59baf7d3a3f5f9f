"""Held-out templates: tests use them, and training never does."""

from duet_training.data.story_problems.story import Step, Story
from duet_training.data.story_problems.words import DAYS, Dice


def bus(dice: Dice) -> Story:
    """People get on and off."""
    vehicle, place = dice.pick(("bus", "train", "boat", "tram")), dice.pick(DAYS)
    count = dice.number(8, dice.largest * 2 // 3)
    off = dice.number(2, count - 2)
    on = dice.number(2, dice.largest - count)
    stop = dice.pick(("first stop", "park", "market", "school", "station", "next stop"))
    body = (
        f"On {place}, a {vehicle} leaves with {count} people.",
        f"At the {stop} {off} people get off and {on} people get on.",
    )
    steps = (
        Step(f"{off} people get off, so we take away", count, "-", off, f"{count - off} are left"),
        Step(f"{on} get on, so we add", count - off, "+", on, f"There are {count - off + on}"),
    )
    ask = f"How many people are on the {vehicle} now?"
    statement = f"There are {count - off + on} people on the {vehicle}"
    sought = f"how many people are on the {vehicle}"
    return Story("bus", body, ask, sought, steps, statement)


def rows(dice: Dice) -> Story:
    """Seats in rows, some of them empty."""
    lines, each = dice.factors()
    total = lines * each
    empty = dice.number(1, total - 1)
    hall = dice.pick(("theatre", "cinema", "hall", "circus", "stadium"))
    body = (
        f"A {hall} has {lines} rows of seats and {each} seats in every row.",
        f"{empty} seats are empty.",
    )
    steps = (
        Step(f"{lines} rows of {each}, so we multiply", lines, "*", each, f"There are {total}"),
        Step(f"{empty} are empty, so we take away", total, "-", empty, f"{total - empty} are full"),
    )
    ask = dice.pick(("How many seats are taken?", "How many people sit there?"))
    return Story("rows", body, ask, "the seats taken", steps, f"{total - empty} seats are taken")
