"""Further stories of two steps: for wide scopes, and for tests alone."""

from duet_training.data.story_problems.story import Story, StoryDraft
from duet_training.data.story_problems.words import COLOURS, DAYS, HOLDERS, Dice, plural


def goal(dice: Dice) -> Story:
    """How much is missing."""
    hero, things = dice.person(), dice.thing()
    have = dice.number(1, dice.largest - 4)
    wanted = dice.number(have + 1, dice.largest)
    name, he = hero.name, hero.he.capitalize()
    body = dice.one_of(
        (f"{name} wants to collect {wanted} {things}.", f"{he} already has {have} {things}."),
        (f"{name} needs {wanted} {things} for a party.", f"{he} has {have} of them."),
        (f"{name} has {have} {things}.", f"{he} would like to have {wanted} {things} in all."),
        (f"A box has room for {wanted} {things}.", f"{name} has put in {have}."),
    )
    plot, why = StoryDraft("goal", *body), f"{have} of {wanted} are there, so we take away"
    plot.step(why, wanted, "-", have, f"{{}} {things} are missing")
    ask = dice.one_of(
        f"How many more {things} does {name} need?",
        f"How many {things} does {hero.he} still need?",
        f"How many {things} are still missing?",
    )
    return plot.told(ask, f"how many {things} are missing", f"{name} needs {{}} more {things}")


def two_kinds(dice: Dice) -> Story:
    """Holders of two kinds, all counted."""
    hero, things, holder = dice.person(), dice.thing(), dice.pick(HOLDERS)
    one, two = dice.rng.sample(COLOURS, 2)
    half = max(4, dice.largest // 2)
    first = dice.number(2, min(9, half // 2))
    first_each = dice.number(2, min(9, half // first))
    second = dice.number(2, min(9, half // 2))
    second_each = dice.number(2, min(9, half // second))
    units = plural(holder)
    body = dice.one_of(
        (
            f"{hero.name} buys {first} {units} of {one} {things} and {second} {units} of "
            f"{two} {things}.",
            f"Each {holder} of {one} {things} has {first_each} {things} and each {holder} of "
            f"{two} {things} has {second_each}.",
        ),
        (
            f"There are {first} {one} {units} with {first_each} {things} each and {second} "
            f"{two} {units} with {second_each} {things} each.",
        ),
    )
    plot = StoryDraft("two_kinds", *body)
    left, right = (
        plot.step(
            f"There are {count} {units} of {each}, so we multiply",
            *(count, "*", each, f"That is {{}} {things}"),
        )
        for count, each in ((first, first_each), (second, second_each))
    )
    total = f"There are {{}} {things}"
    plot.step("We add them", left, "+", right, total)
    ask = dice.one_of(
        f"How many {things} are there in all?",
        f"How many {things} are there altogether?",
        f"What is the total number of {things}?",
    )
    return plot.told(ask, f"the number of {things}", total)


def teams(dice: Dice) -> Story:
    """Two parts put together, then shared out evenly."""
    hero = dice.person()
    size, count = dice.factors()
    if size * count < 4:
        size, count = 2, 2
    first = dice.number(1, size * count - 1)
    second = size * count - first
    plot = StoryDraft("teams")
    total = plot.step("We add both", first, "+", second, "There are {} in all")
    if dice.chance(0.5):
        one, two = dice.one_of(("boys", "girls"), ("men", "women"), ("adults", "children"))
        units = plural(unit := dice.one_of("team", "group", "table", "row", "car"))
        told = f"In each {unit} there are {size} of them."
        if dice.chance(0.5):
            told = f"They form {units} of {size} people."
        plot.body += [f"There are {first} {one} and {second} {two}.", told]
        ask, sought = f"How many {units} are there?", f"the number of {units}"
        statement = f"There are {{}} {units}"
    else:
        things, holder = dice.thing(), dice.pick(HOLDERS)
        plot.body += [
            f"{hero.name} has {first} {things} at home and {second} {things} at school.",
            f"{hero.he.capitalize()} puts {size} {things} into each {holder}.",
        ]
        ask = f"How many {plural(holder)} does {hero.name} need?"
        sought = f"how many {plural(holder)} {hero.he} needs"
        statement = f"{hero.name} needs {{}} {plural(holder)}"
    plot.step(f"We divide into parts of {size}", total, "/", size, statement)
    return plot.told(ask, sought, statement)


def boxes_left(dice: Dice) -> Story:
    """Some holders go or come, then what is in them is counted."""
    hero, other, things = dice.person(), dice.person(), dice.thing()
    holder = dice.pick(HOLDERS)
    kept, each = dice.factors()
    more = dice.chance(0.4) and kept > 2
    change = dice.number(1, kept - 1 if more else 9)
    first, units = kept - change if more else kept + change, plural(holder)
    if more:
        event = f"Then {hero.he} gets {change} more {units} from {other.name}."
        why = f"{change} more come, so we add"
    else:
        event = f"Then {hero.he} gives {change} {units} to {other.name}."
        why = f"{change} go, so we take away"
    inside = dice.one_of(
        f"Each {holder} has {each} {things} inside.", f"There are {each} {things} in each."
    )
    plot = StoryDraft("boxes_left", f"{hero.name} has {first} {units} of {things}.", event, inside)
    plot.step(why, first, "+" if more else "-", change, f"{{}} {units} are there")
    plot.step(f"There are {kept} of {each}, so we multiply", kept, "*", each, "That is all")
    ask = dice.one_of(
        f"How many {things} does {hero.name} have now?",
        f"How many {things} does {hero.he} have then?",
    )
    now = f"{hero.name} has {{}} {things} now"
    return plot.told(ask, f"how many {things} {hero.name} has now", now)


def bus(dice: Dice) -> Story:
    """People get on and off; held out."""
    vehicle, place = dice.one_of("bus", "train", "boat", "tram"), dice.pick(DAYS)
    count = dice.number(8, dice.largest * 2 // 3)
    off = dice.number(2, count - 2)
    on = dice.number(2, dice.largest - count)
    stop = dice.one_of("first stop", "park", "market", "school", "station", "next stop")
    plot = StoryDraft(
        "bus",
        f"On {place}, a {vehicle} leaves with {count} people.",
        f"At the {stop} {off} people get off and {on} people get on.",
    )
    left = plot.step(f"{off} people get off, so we take away", count, "-", off, "{} are left")
    plot.step(f"{on} get on, so we add", left, "+", on, "There are {}")
    ask, sought = (
        f"How many people are on the {vehicle} now?",
        f"how many people are on the {vehicle}",
    )
    return plot.told(ask, sought, f"There are {{}} people on the {vehicle}")


def rows(dice: Dice) -> Story:
    """Seats in rows, some of them empty; held out."""
    lines, each = dice.factors()
    empty = dice.number(1, lines * each - 1)
    hall = dice.one_of("theatre", "cinema", "hall", "circus", "stadium")
    plot = StoryDraft(
        "rows",
        f"A {hall} has {lines} rows of seats and {each} seats in every row.",
        f"{empty} seats are empty.",
    )
    total = plot.step(f"{lines} rows of {each}, so we multiply", lines, "*", each, "There are {}")
    plot.step(f"{empty} are empty, so we take away", total, "-", empty, "{} are full")
    ask = dice.one_of("How many seats are taken?", "How many people sit there?")
    return plot.told(ask, "the seats taken", "{} seats are taken")
