"""Stories of one to three steps with a plot of their own each."""

from duet_training.data.story_problems.story import Sign, Step, Story, compute
from duet_training.data.story_problems.words import GOODS, HOLDERS, RELATIVES, WORK, Dice, plural


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
    sign: Sign
    if kind == "times":
        first = dice.number(2, dice.largest // 4)
        right = dice.number(2, min(5, dice.largest // first - 1))
        how = {2: "twice"}.get(right, f"{right} times")
        said = f"{two.name} has {how} as many {things} as {one.name}"
        sign, do = "*", "multiply"
    else:
        most = first - 1 if kind == "fewer" else max(1, dice.largest - 2 * first)
        right = dice.number(1, most)
        said = f"{two.name} has {right} {kind} {things} than {one.name}"
        sign, do = ("+", "add") if kind == "more" else ("-", "take away")
    second = compute(first, sign, right)
    had = f"{two.name} has {second} {things}"
    steps = [Step(f"{said}, so we {do}", first, sign, right, had)]
    body = (f"{one.name} has {first} {things}.", f"{said}.")
    if first + second <= dice.largest and dice.chance(0.6):
        both = f"Together they have {first + second} {things}"
        steps.append(Step("We add both", first, "+", second, both))
        ask = dice.pick(
            (f"How many {things} do they have together?", f"How many {things} do they have in all?")
        )
        sought = f"how many {things} they have together"
        return Story("comparing", body, ask, sought, tuple(steps), both)
    ask = f"How many {things} does {two.name} have?"
    sought = f"how many {things} {two.name} has"
    return Story("comparing", body, ask, sought, tuple(steps), had)


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
