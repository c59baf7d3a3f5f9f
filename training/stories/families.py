"""Stories of one to three steps with a plot of their own each."""

from collections.abc import Callable

from training.stories.story import Step, Story
from training.stories.words import (
    COLOURS,
    DAYS,
    GOODS,
    HOLDERS,
    RELATIVES,
    WORK,
    Dice,
    plural,
)


def groups(dice: Dice) -> Story:
    """So many holders with so many things each, some of which go or come."""
    things, holder = dice.thing(), dice.pick(HOLDERS)
    count, each = dice.factors()
    total = count * each
    opening = dice.pick(
        (
            f"There are {count} {plural(holder)} with {each} {things} in each {holder}.",
            f"Each {holder} holds {each} {things}. There are {count} {plural(holder)}.",
            f"A shop has {count} {plural(holder)} of {things}. Each {holder} has {each} {things}.",
        )
    )
    steps = [
        Step(
            f"There are {count} {plural(holder)} of {each}, so we multiply",
            count,
            "*",
            each,
            f"There are {total} {things}",
        )
    ]
    body = [opening]
    change = dice.pick(("none", "less", "more"))
    if change == "less" and total > 3:
        gone = dice.number(1, total - 1)
        how = dice.pick(("are sold", "are broken", "are eaten", "are taken away", "are lost"))
        body.append(f"{gone} of the {things} {how}.")
        fact = f"{total - gone} {things} are left"
        steps.append(Step(f"{gone} {how}, so we take away", total, "-", gone, fact))
        ask = f"How many {things} are left?"
    elif change == "more" and total + 2 <= dice.largest:
        more = dice.number(2, dice.largest - total)
        body.append(f"There are {more} more {things} on the table.")
        fact = f"There are {total + more} {things} in all"
        steps.append(Step(f"{more} more are on the table, so we add", total, "+", more, fact))
        ask = dice.pick((f"How many {things} are there in all?", f"How many {things} in total?"))
    else:
        ask = dice.pick((f"How many {things} are there?", f"How many {things} are there in all?"))
    last = steps[-1].result
    return Story(
        "groups",
        tuple(body),
        ask,
        f"the number of {things}",
        tuple(steps),
        f"There are {last} {things}",
    )


def sharing(dice: Dice) -> Story:
    """All of it, or what is left, in equal parts."""
    hero, things, holder = dice.person(), dice.thing(), dice.pick(HOLDERS)
    parts, each = dice.factors()
    total = parts * each
    body, steps = [], []
    gone = 0
    if dice.chance(0.5) and total + 2 <= dice.largest:
        gone = dice.number(2, dice.largest - total)
        body.append(f"{hero.name} has {total + gone} {things}.")
        verb = dice.pick(("eats", "sells", "keeps", "gives away"))
        body.append(f"{hero.he.capitalize()} {verb} {gone} of them.")
        fact = f"{total} {things} are left"
        steps.append(Step(f"{gone} are gone, so we take away", total + gone, "-", gone, fact))
    else:
        body.append(f"{hero.name} has {total} {things}.")
    rest = "the rest" if gone else "them"
    if dice.chance(0.5):
        body.append(f"{hero.he.capitalize()} puts {rest} equally into {parts} {plural(holder)}.")
        ask = f"How many {things} are in each {holder}?"
        sought, statement = f"how many {things} are in each {holder}", f"Each {holder} has {each}"
        why, right, fact = "We divide", parts, f"Each {holder} has {each} {things}"
    else:
        body.append(f"{hero.he.capitalize()} puts {rest} into {plural(holder)} of {each} each.")
        ask = f"How many {plural(holder)} does {hero.he} need?"
        sought = f"how many {plural(holder)} {hero.he} needs"
        statement = f"{hero.name} needs {parts} {plural(holder)}"
        why, right, fact = "We divide", each, f"There are {parts} {plural(holder)}"
    if " has " in statement:
        statement += f" {things}"
    steps.append(Step(why, total, "/", right, fact))
    return Story("sharing", tuple(body), ask, sought, tuple(steps), statement)


def comparing(dice: Dice) -> Story:
    """Two people, one has more, fewer or several times as many; who has how many, or both."""
    one, two, things = dice.person(), dice.person(), dice.thing()
    first = dice.number(3, dice.largest // 2)
    kind = dice.pick(("more", "fewer", "times"))
    sign = {"more": "+", "fewer": "-", "times": "*"}[kind]
    if kind == "times":
        first = dice.number(2, dice.largest // 4)
        right = dice.number(2, min(5, dice.largest // first - 1))
        how = {2: "twice"}.get(right, f"{right} times")
        said = f"{two.name} has {how} as many {things} as {one.name}."
    else:
        most = first - 1 if kind == "fewer" else max(1, dice.largest - 2 * first)
        right = dice.number(1, most)
        said = f"{two.name} has {right} {kind} {things} than {one.name}."
    why = f"{said[:-1]}, so we {dict(zip('+-*', ('add', 'take away', 'multiply'), strict=True))[sign]}"
    step = Step(why, first, sign, right, "")  # type: ignore[arg-type]
    second = step.result
    steps = [Step(why, first, step.sign, right, f"{two.name} has {second} {things}")]
    body = (f"{one.name} has {first} {things}.", said)
    if first + second <= dice.largest and dice.chance(0.6):
        fact = f"Together they have {first + second} {things}"
        steps.append(Step("We add both", first, "+", second, fact))
        ask = dice.pick(
            (f"How many {things} do they have together?", f"How many {things} do they have in all?")
        )
        sought, statement = f"how many {things} they have together", fact
    else:
        ask = f"How many {things} does {two.name} have?"
        sought = f"how many {things} {two.name} has"
        statement = f"{two.name} has {second} {things}"
    return Story("comparing", body, ask, sought, tuple(steps), statement)


def shopping(dice: Dice) -> Story:
    """What it costs, or what is left of the money."""
    hero, first, second = dice.person(), dice.pick(GOODS), dice.pick(GOODS)
    count, price = dice.factors(9)
    body = [f"A {first} costs ${price}."]
    steps = [
        Step(
            f"{count} {plural(first)} cost {count} times {price}",
            count,
            "*",
            price,
            f"The {plural(first)} cost ${count * price}",
        )
    ]
    total = count * price
    bought = f"{count} {plural(first)}"
    if second != first and total + 1 < dice.largest and dice.chance(0.5):
        other = dice.number(1, dice.largest - total)
        body.append(f"A {second} costs ${other}.")
        bought += f" and a {second}"
        fact = f"All together cost ${total + other}"
        steps.append(Step(f"The {second} costs {other}, so we add", total, "+", other, fact))
        total += other
    body.append(f"{hero.name} buys {bought}.")
    if total < dice.largest and dice.chance(0.4):
        money = dice.number(total + 1, dice.largest)
        body.insert(0, f"{hero.name} has ${money}.")
        fact = f"{hero.name} has ${money - total} left"
        steps.append(Step("We take it from the money", money, "-", total, fact))
        ask = dice.pick(
            (
                f"How much money does {hero.name} have left?",
                "How many dollars are left?",
            )
        )
        return Story("shopping", tuple(body), ask, "the money that is left", tuple(steps), fact)
    ask = dice.pick((f"How much does {hero.name} pay?", f"How many dollars does {hero.he} spend?"))
    return Story(
        "shopping",
        tuple(body),
        ask,
        f"what {hero.name} pays",
        tuple(steps),
        f"{hero.name} pays ${total}",
    )


def routine(dice: Dice) -> Story:
    """The same work every day, and maybe some more."""
    hero, (present, _, things) = dice.person(), dice.pick(WORK)
    days, each = dice.factors(9)
    total = days * each
    unit = dice.pick(("day", "week", "hour"))
    body = [f"{hero.name} {present} {each} {things} every {unit} for {days} {plural(unit)}."]
    steps = [
        Step(
            f"It is {each} {things} for {days} {plural(unit)}, so we multiply",
            each,
            "*",
            days,
            f"That makes {total} {things}",
        )
    ]
    if total + 1 < dice.largest and dice.chance(0.5):
        more = dice.number(1, dice.largest - total)
        body.append(f"Then {hero.he} {present} {more} more {things}.")
        fact = f"That makes {total + more} {things} in all"
        steps.append(Step(f"There are {more} more, so we add", total, "+", more, fact))
        total += more
    verb = present.removesuffix("es") if present.endswith("shes") else present.removesuffix("s")
    ask = f"How many {things} does {hero.name} {verb} in all?"
    statement = f"{hero.name} {present} {total} {things}"
    sought = f"how many {things} {hero.name} {present}"
    return Story("routine", tuple(body), ask, sought, tuple(steps), statement)


def ages(dice: Dice) -> Story:
    """Someone older or younger, now or in some years."""
    hero, relative = dice.person(), dice.pick(RELATIVES)
    age = dice.number(4, min(40, dice.largest // 2))
    gap = dice.number(1, min(age - 2, 20))
    older = dice.chance(0.5)
    word = "older" if older else "younger"
    body = [
        f"{hero.name} is {age} years old.",
        f"{hero.his.capitalize()} {relative} is {gap} years {word}.",
    ]
    now = age + gap if older else age - gap
    verb = "add" if older else "take away"
    steps = [
        Step(
            f"The {relative} is {gap} years {word}, so we {verb}",
            age,
            "+" if older else "-",
            gap,
            f"The {relative} is {now}",
        )
    ]
    if dice.chance(0.5):
        years = dice.number(2, min(15, max(2, dice.largest - now)))
        steps.append(
            Step(
                f"In {years} years, we add {years}",
                now,
                "+",
                years,
                f"The {relative} will be {now + years}",
            )
        )
        ask = f"How old will {hero.his} {relative} be in {years} years?"
        statement = f"The {relative} will be {now + years} years old"
        sought = f"the age of the {relative} in {years} years"
    else:
        ask = f"How old is {hero.his} {relative}?"
        statement = f"The {relative} is {now} years old"
        sought = f"the age of the {relative}"
    return Story("ages", tuple(body), ask, sought, tuple(steps), statement)


def unknown(dice: Dice) -> Story:
    """The beginning or the change is asked for."""
    hero, other, things = dice.person(), dice.person(), dice.thing()
    change = dice.number(2, dice.largest // 2)
    after = dice.number(1, dice.largest // 2)
    kind = dice.pick(("start", "gain", "loss"))
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
    asked, steps = str(value), []
    for _ in range(dice.pick((1, 1, 2, 3))):
        divisors = [d for d in range(2, 11) if value % d == 0 and value > d]
        signs = ["+"] * (value + 2 <= dice.largest) + ["-"] * (value > 2)
        signs += ["*"] * (0 < value * 2 <= dice.largest) + ["/"] * bool(divisors)
        sign = dice.pick(signs or ["+"])
        if sign == "/":
            right = dice.pick(divisors)
        elif sign == "*":
            right = dice.number(2, min(12, dice.largest // value))
        else:
            right = dice.number(1, value - 1 if sign == "-" else dice.largest - value)
        word = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}[sign]
        asked += f" {word} {right}" if not steps else f", then {word} {right}"
        step = Step("We compute", value, sign, right, "")  # type: ignore[arg-type]
        value = step.result
        steps.append(Step("We compute", step.left, step.sign, right, f"We have {value}"))
    ask = dice.pick((f"What is {asked}?", f"Compute {asked}."))
    return Story("bare", (), ask, "the result", tuple(steps), f"The result is {value}")


def bus(dice: Dice) -> Story:
    """Only tested on: no training story is told like this."""
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
    """Only tested on: no training story is told like this."""
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


TRAINED: tuple[tuple[Callable[[Dice], Story], int], ...] = (
    # family, weight
    (groups, 3),
    (sharing, 3),
    (comparing, 4),
    (shopping, 3),
    (routine, 2),
    (ages, 1),
    (unknown, 2),
    (colours, 2),
    (difference, 2),
)
TESTED_ONLY: tuple[Callable[[Dice], Story], ...] = (bus, rows)
