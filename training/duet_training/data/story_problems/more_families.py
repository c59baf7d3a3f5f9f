"""More stories with a plot of their own: one or two steps, plain sums, and sums without a story."""

from duet_training.data.story_problems.story import Sign, Step, Story, compute
from duet_training.data.story_problems.words import COLOURS, DAYS, Dice


def unknown(dice: Dice) -> Story:
    """The beginning or the change is asked for."""
    hero, other, things = dice.person(), dice.person(), dice.thing()
    change = dice.number(2, dice.largest // 2)
    after = dice.number(1, dice.largest // 2)
    kind = dice.pick(("start", "gain", "loss"))
    body: tuple[str, ...]
    if kind == "start":
        body = (
            f"{hero.name} had some {things}.",
            f"{hero.he.capitalize()} gave {change} {things} to {other.name}.",
            f"Now {hero.he} has {after} {things} left.",
        )
        ask = f"How many {things} did {hero.name} have at first?"
        total = change + after
        fact = f"{hero.name} had {total} {things} at first"
        step = Step("We add what was given away", after, "+", change, fact)
        sought = f"how many {things} {hero.name} had at first"
    elif kind == "gain":
        total = after + change
        body = (
            f"{hero.name} had {after} {things}.",
            f"{other.name} gave {hero.name} some more.",
            f"Now {hero.he} has {total} {things}.",
        )
        ask = f"How many {things} did {other.name} give?"
        fact = f"{other.name} gave {change} {things}"
        step = Step("We take the beginning from the end", total, "-", after, fact)
        sought = f"how many {things} {other.name} gave"
    else:
        total = after + change
        body = (
            f"{hero.name} had {total} {things}.",
            f"{hero.he.capitalize()} gave some to {other.name} and has {after} left.",
        )
        ask = f"How many {things} did {hero.name} give away?"
        fact = f"{hero.name} gave away {change} {things}"
        step = Step("We take what is left from the beginning", total, "-", after, fact)
        sought = f"how many {things} {hero.name} gave away"
    return Story("unknown", body, ask, sought, (step,), fact)


def colours(dice: Dice) -> Story:
    """Two or three kinds, in all."""
    things, count = dice.thing(), dice.pick((2, 3))
    names = dice.rng.sample(COLOURS, count)
    numbers = [dice.number(2, dice.largest // count) for _ in names]
    listed = [f"{n} {c} {things}" for n, c in zip(numbers, names, strict=True)]
    where = dice.pick(("in a box", "on the table", "in the garden", "in a shop"))
    body = (f"There are {', '.join(listed[:-1])} and {listed[-1]} {where}.",)
    steps, total = [], numbers[0]
    for number, colour in zip(numbers[1:], names[1:], strict=True):
        fact = f"That makes {total + number} {things}"
        steps.append(Step(f"We add the {colour} {things}", total, "+", number, fact))
        total += number
    ask = dice.pick((f"How many {things} are there in all?", f"How many {things} are there?"))
    sought, statement = f"the number of {things}", f"There are {total} {things}"
    return Story("colours", body, ask, sought, tuple(steps), statement)


def difference(dice: Dice) -> Story:
    """How many more on one day, or of one person, than on the other."""
    hero, things = dice.person(), dice.thing()
    small = dice.number(1, dice.largest - 2)
    large = dice.number(small + 1, dice.largest)
    body: tuple[str, ...]
    verb, past = dice.pick((("pick", "picked"), ("buy", "bought"), ("sell", "sold")))
    if dice.chance(0.5):
        days = dice.rng.sample(DAYS, 2)
        body = (
            f"{hero.name} {past} {large} {things} on {days[0]} and {small} {things} on {days[1]}.",
        )
        ask = f"How many more {things} did {hero.name} {verb} on {days[0]} than on {days[1]}?"
        fact = f"It is {large - small} {things} more on {days[0]}"
    else:
        other = dice.person()
        body = (f"{hero.name} {past} {large} {things}.", f"{other.name} {past} {small} {things}.")
        ask = f"How many more {things} did {hero.name} {verb} than {other.name}?"
        fact = f"{hero.name} {past} {large - small} more {things}"
    step = Step("We take the smaller from the larger", large, "-", small, fact)
    return Story("difference", body, ask, "the difference", (step,), fact)


def bare(dice: Dice) -> Story:
    """Arithmetic without a story, one to three steps."""
    value = dice.number(2, dice.largest - 3)
    asked = str(value)
    steps: list[Step] = []
    for _ in range(dice.pick((1, 1, 2, 3))):
        divisors = [d for d in range(2, 11) if value % d == 0 and value > d]
        possible: dict[Sign, bool] = {
            "+": value + 2 <= dice.largest,
            "-": value > 2,
            "*": 0 < value * 2 <= dice.largest,
            "/": bool(divisors),
        }
        sign: Sign = dice.pick([sign for sign, can in possible.items() if can])
        if sign == "/":
            right = dice.pick(divisors)
        elif sign == "*":
            right = dice.number(2, min(12, dice.largest // value))
        else:
            right = dice.number(1, value - 1 if sign == "-" else dice.largest - value)
        word = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}[sign]
        asked += f" {word} {right}" if not steps else f", then {word} {right}"
        result = compute(value, sign, right)
        steps.append(Step("We compute", value, sign, right, f"We have {result}"))
        value = result
    ask = dice.pick((f"What is {asked}?", f"Compute {asked}."))
    return Story("bare", (), ask, "the result", tuple(steps), f"The result is {value}")
