"""Templates of wide scopes only: two operations each, in several wordings."""

from duet_training.data.story_problems.story import Step, Story
from duet_training.data.story_problems.words import COLOURS, HOLDERS, Dice, plural


def goal(dice: Dice) -> Story:
    """How much is missing."""
    hero, things = dice.person(), dice.thing()
    have = dice.number(1, dice.largest - 4)
    wanted = dice.number(have + 1, dice.largest)
    he = hero.he.capitalize()
    body = dice.pick(
        (
            (
                f"{hero.name} wants to collect {wanted} {things}.",
                f"{he} already has {have} {things}.",
            ),
            (f"{hero.name} needs {wanted} {things} for a party.", f"{he} has {have} of them."),
            (
                f"{hero.name} has {have} {things}.",
                f"{he} would like to have {wanted} {things} in all.",
            ),
            (f"A box has room for {wanted} {things}.", f"{hero.name} has put in {have}."),
        )
    )
    missing = wanted - have
    fact = f"{missing} {things} are missing"
    steps = [Step(f"{have} of {wanted} are there, so we take away", wanted, "-", have, fact)]
    ask = dice.pick(
        (
            f"How many more {things} does {hero.name} need?",
            f"How many {things} does {hero.he} still need?",
            f"How many {things} are still missing?",
        )
    )
    sought, statement = f"how many {things} are missing", f"{hero.name} needs {missing} more"
    return Story("goal", tuple(body), ask, sought, tuple(steps), f"{statement} {things}")


def two_kinds(dice: Dice) -> Story:
    """Holders of two kinds, all counted."""
    hero, things, holder = dice.person(), dice.thing(), dice.pick(HOLDERS)
    one, two = dice.rng.sample(COLOURS, 2)
    half = max(4, dice.largest // 2)
    first = dice.number(2, min(9, half // 2))
    first_each = dice.number(2, min(9, half // first))
    second = dice.number(2, min(9, half // 2))
    second_each = dice.number(2, min(9, half // second))
    left, right = first * first_each, second * second_each
    units = plural(holder)
    body = dice.pick(
        (
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
    )
    steps = [
        Step(
            f"There are {first} {units} of {first_each}, so we multiply",
            first,
            "*",
            first_each,
            f"That is {left} {things}",
        ),
        Step(
            f"There are {second} {units} of {second_each}, so we multiply",
            second,
            "*",
            second_each,
            f"That is {right} {things}",
        ),
        Step("We add them", left, "+", right, f"There are {left + right} {things}"),
    ]
    ask = dice.pick(
        (
            f"How many {things} are there in all?",
            f"How many {things} are there altogether?",
            f"What is the total number of {things}?",
        )
    )
    statement = f"There are {left + right} {things}"
    return Story("two_kinds", tuple(body), ask, f"the number of {things}", tuple(steps), statement)


def teams(dice: Dice) -> Story:
    """Two parts put together, then shared out evenly."""
    hero = dice.person()
    size, count = dice.factors()
    if size * count < 4:
        size, count = 2, 2
    total = size * count
    first = dice.number(1, total - 1)
    second = total - first
    steps = [Step("We add both", first, "+", second, f"There are {total} in all")]
    if dice.chance(0.5):
        one, two = dice.pick((("boys", "girls"), ("men", "women"), ("adults", "children")))
        unit = dice.pick(("team", "group", "table", "row", "car"))
        body = [f"There are {first} {one} and {second} {two}."]
        told = f"In each {unit} there are {size} of them."
        if dice.chance(0.5):
            told = f"They form {plural(unit)} of {size} people."
        body.append(told)
        ask, sought = f"How many {plural(unit)} are there?", f"the number of {plural(unit)}"
        statement = f"There are {count} {plural(unit)}"
    else:
        things, holder = dice.thing(), dice.pick(HOLDERS)
        body = [
            f"{hero.name} has {first} {things} at home and {second} {things} at school.",
            f"{hero.he.capitalize()} puts {size} {things} into each {holder}.",
        ]
        ask = f"How many {plural(holder)} does {hero.name} need?"
        sought = f"how many {plural(holder)} {hero.he} needs"
        statement = f"{hero.name} needs {count} {plural(holder)}"
    steps.append(Step(f"We divide into parts of {size}", total, "/", size, statement))
    return Story("teams", tuple(body), ask, sought, tuple(steps), statement)


def boxes_left(dice: Dice) -> Story:
    """Some holders go or come, then what is in them is counted."""
    hero, other, things = dice.person(), dice.person(), dice.thing()
    holder = dice.pick(HOLDERS)
    kept, each = dice.factors()
    more = dice.chance(0.4) and kept > 2
    change = dice.number(1, kept - 1 if more else 9)
    first = kept - change if more else kept + change
    units = plural(holder)
    if more:
        event = f"Then {hero.he} gets {change} more {units} from {other.name}."
        why = f"{change} more come, so we add"
    else:
        event = f"Then {hero.he} gives {change} {units} to {other.name}."
        why = f"{change} go, so we take away"
    inside = dice.pick(
        (f"Each {holder} has {each} {things} inside.", f"There are {each} {things} in each.")
    )
    count = Step(why, first, "+" if more else "-", change, f"{kept} {units} are there")
    total = Step(f"There are {kept} of {each}, so we multiply", kept, "*", each, "That is all")
    ask = dice.pick(
        (
            f"How many {things} does {hero.name} have now?",
            f"How many {things} does {hero.he} have then?",
        )
    )
    statement = f"{hero.name} has {kept * each} {things} now"
    body = (f"{hero.name} has {first} {units} of {things}.", event, inside)
    sought = f"how many {things} {hero.name} has now"
    return Story("boxes_left", body, ask, sought, (count, total), statement)
