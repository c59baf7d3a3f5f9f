"""Stories of one to three steps with a plot of their own each, and plain sums."""

from duet_training.data.story_problems.story import Sign, Story, StoryDraft
from duet_training.data.story_problems.words import (
    COLOURS,
    DAYS,
    GOODS,
    HOLDERS,
    RELATIVES,
    WORDS,
    Dice,
    plural,
)


def groups(dice: Dice) -> Story:
    """So many holders with so many things each, some of which go or come."""
    things, holder = dice.thing(), dice.pick(HOLDERS)
    holders, (count, each) = plural(holder), dice.factors()
    opening = dice.one_of(
        f"There are {count} {holders} with {each} {things} in each {holder}.",
        f"Each {holder} holds {each} {things}. There are {count} {holders}.",
        f"A shop has {count} {holders} of {things}. Each {holder} has {each} {things}.",
    )
    plot = StoryDraft("groups", opening)
    why = f"There are {count} {holders} of {each}, so we multiply"
    total = plot.step(why, count, "*", each, f"There are {{}} {things}")
    change = dice.one_of("none", "less", "more")
    if change == "less" and total > 3:
        gone = dice.number(1, total - 1)
        how = dice.one_of("are sold", "are broken", "are eaten", "are taken away", "are lost")
        plot.body.append(f"{gone} of the {things} {how}.")
        why = f"{gone} {how}, so we take away"
        plot.step(why, total, "-", gone, f"{{}} {things} are left")
        ask = f"How many {things} are left?"
    elif change == "more" and total + 2 <= dice.largest:
        more = dice.number(2, dice.largest - total)
        plot.body.append(f"There are {more} more {things} on the table.")
        why = f"{more} more are on the table, so we add"
        plot.step(why, total, "+", more, f"There are {{}} {things} in all")
        ask = dice.one_of(f"How many {things} are there in all?", f"How many {things} in total?")
    else:
        ask = dice.one_of(f"How many {things} are there?", f"How many {things} are there in all?")
    return plot.told(ask, f"the number of {things}", f"There are {{}} {things}")


def sharing(dice: Dice) -> Story:
    """All of it, or what is left, in equal parts."""
    hero, things, holder = dice.person(), dice.thing(), dice.pick(HOLDERS)
    holders, (parts, each) = plural(holder), dice.factors()
    total, plot, rest = parts * each, StoryDraft("sharing"), "them"
    if dice.chance(0.5) and total + 2 <= dice.largest:
        gone, rest = dice.number(2, dice.largest - total), "the rest"
        verb = dice.one_of("eats", "sells", "keeps", "gives away")
        plot.body += [
            f"{hero.name} has {total + gone} {things}.",
            f"{hero.he.capitalize()} {verb} {gone} of them.",
        ]
        why = f"{gone} are gone, so we take away"
        plot.step(why, total + gone, "-", gone, f"{{}} {things} are left")
    else:
        plot.body.append(f"{hero.name} has {total} {things}.")
    if dice.chance(0.5):
        plot.body.append(f"{hero.he.capitalize()} puts {rest} equally into {parts} {holders}.")
        plot.step("We divide", total, "/", parts, f"Each {holder} has {{}} {things}")
        sought = f"how many {things} are in each {holder}"
        ask, statement = (
            f"How many {things} are in each {holder}?",
            f"Each {holder} has {{}} {things}",
        )
    else:
        plot.body.append(f"{hero.he.capitalize()} puts {rest} into {holders} of {each} each.")
        plot.step("We divide", total, "/", each, f"There are {{}} {holders}")
        sought = f"how many {holders} {hero.he} needs"
        ask = f"How many {holders} does {hero.he} need?"
        statement = f"{hero.name} needs {{}} {holders}"
    return plot.told(ask, sought, statement)


def comparing(dice: Dice) -> Story:
    """Two people, one has more, fewer or several times as many; who has how many, or both."""
    one, two, things = dice.person(), dice.person(), dice.thing()
    first = dice.number(3, dice.largest // 2)
    kind = dice.one_of("more", "fewer", "times")
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
    plot = StoryDraft("comparing", f"{one.name} has {first} {things}.", f"{said}.")
    had = f"{two.name} has {{}} {things}"
    second = plot.step(f"{said}, so we {do}", first, sign, right, had)
    if first + second <= dice.largest and dice.chance(0.6):
        both = f"Together they have {{}} {things}"
        plot.step("We add both", first, "+", second, both)
        ask = f"How many {things} do they have {dice.one_of('together', 'in all')}?"
        return plot.told(ask, f"how many {things} they have together", both)
    ask = f"How many {things} does {two.name} have?"
    return plot.told(ask, f"how many {things} {two.name} has", had)


def shopping(dice: Dice) -> Story:
    """What it costs, or what is left of the money."""
    hero, first, second = dice.person(), dice.pick(GOODS), dice.pick(GOODS)
    count, price = dice.factors(9)
    plot, bought = StoryDraft("shopping", f"A {first} costs ${price}."), f"{count} {plural(first)}"
    why = f"{bought} cost {count} times {price}"
    total = plot.step(why, count, "*", price, f"The {plural(first)} cost ${{}}")
    if second != first and total + 1 < dice.largest and dice.chance(0.5):
        other = dice.number(1, dice.largest - total)
        plot.body.append(f"A {second} costs ${other}.")
        bought += f" and a {second}"
        why = f"The {second} costs {other}, so we add"
        total = plot.step(why, total, "+", other, "All together cost ${}")
    plot.body.append(f"{hero.name} buys {bought}.")
    if total < dice.largest and dice.chance(0.4):
        money = dice.number(total + 1, dice.largest)
        plot.body.insert(0, f"{hero.name} has ${money}.")
        fact = f"{hero.name} has ${{}} left"
        plot.step("We take it from the money", money, "-", total, fact)
        asks = (f"How much money does {hero.name} have left?", "How many dollars are left?")
        return plot.told(dice.pick(asks), "the money that is left", fact)
    ask = dice.one_of(f"How much does {hero.name} pay?", f"How many dollars does {hero.he} spend?")
    return plot.told(ask, f"what {hero.name} pays", f"{hero.name} pays ${{}}")


def routine(dice: Dice) -> Story:
    """The same work every day, and maybe some more."""
    hero, (present, _, things) = dice.person(), dice.pick(WORDS["work"])
    days, each = dice.factors(9)
    units = plural(unit := dice.one_of("day", "week", "hour"))
    work = f"{hero.name} {present} {each} {things} every {unit} for {days} {units}."
    plot = StoryDraft("routine", work)
    why = f"It is {each} {things} for {days} {units}, so we multiply"
    total = plot.step(why, each, "*", days, f"That makes {{}} {things}")
    if total + 1 < dice.largest and dice.chance(0.5):
        more = dice.number(1, dice.largest - total)
        plot.body.append(f"Then {hero.he} {present} {more} more {things}.")
        why = f"There are {more} more, so we add"
        plot.step(why, total, "+", more, f"That makes {{}} {things} in all")
    verb = present.removesuffix("es") if present.endswith("shes") else present.removesuffix("s")
    ask = f"How many {things} does {hero.name} {verb} in all?"
    sought = f"how many {things} {hero.name} {present}"
    return plot.told(ask, sought, f"{hero.name} {present} {{}} {things}")


def ages(dice: Dice) -> Story:
    """Someone older or younger, now or in some years."""
    hero, relative = dice.person(), dice.pick(RELATIVES)
    age = dice.number(4, min(40, dice.largest // 2))
    gap = dice.number(1, min(age - 2, 20))
    sign: Sign
    sign, word, verb = ("+", "older", "add") if dice.chance(0.5) else ("-", "younger", "take away")
    is_word = f"is {gap} years {word}"
    plot = StoryDraft(
        "ages", f"{hero.name} is {age} years old.", f"{hero.his.capitalize()} {relative} {is_word}."
    )
    why = f"The {relative} {is_word}, so we {verb}"
    now = plot.step(why, age, sign, gap, f"The {relative} is {{}}")
    if dice.chance(0.5):
        years = dice.number(2, min(15, max(2, dice.largest - now)))
        will = f"The {relative} will be {{}}"
        plot.step(f"In {years} years, we add {years}", now, "+", years, will)
        ask = f"How old will {hero.his} {relative} be in {years} years?"
        return plot.told(ask, f"the age of the {relative} in {years} years", f"{will} years old")
    ask = f"How old is {hero.his} {relative}?"
    return plot.told(ask, f"the age of the {relative}", f"The {relative} is {{}} years old")


def unknown(dice: Dice) -> Story:
    """The beginning or the change is asked for."""
    hero, other, things = dice.person(), dice.person(), dice.thing()
    change = dice.number(2, dice.largest // 2)
    after = dice.number(1, dice.largest // 2)
    kind, total, plot = dice.one_of("start", "gain", "loss"), change + after, StoryDraft("unknown")
    if kind == "start":
        plot.body += [
            f"{hero.name} had some {things}.",
            f"{hero.he.capitalize()} gave {change} {things} to {other.name}.",
            f"Now {hero.he} has {after} {things} left.",
        ]
        fact = f"{hero.name} had {{}} {things} at first"
        plot.step("We add what was given away", after, "+", change, fact)
        ask = f"How many {things} did {hero.name} have at first?"
        return plot.told(ask, f"how many {things} {hero.name} had at first", fact)
    if kind == "gain":
        plot.body += [
            f"{hero.name} had {after} {things}.",
            f"{other.name} gave {hero.name} some more.",
            f"Now {hero.he} has {total} {things}.",
        ]
        fact = f"{other.name} gave {{}} {things}"
        plot.step("We take the beginning from the end", total, "-", after, fact)
        ask = f"How many {things} did {other.name} give?"
        return plot.told(ask, f"how many {things} {other.name} gave", fact)
    plot.body += [
        f"{hero.name} had {total} {things}.",
        f"{hero.he.capitalize()} gave some to {other.name} and has {after} left.",
    ]
    fact = f"{hero.name} gave away {{}} {things}"
    plot.step("We take what is left from the beginning", total, "-", after, fact)
    ask = f"How many {things} did {hero.name} give away?"
    return plot.told(ask, f"how many {things} {hero.name} gave away", fact)


def colours(dice: Dice) -> Story:
    """Two or three kinds, in all."""
    things, count = dice.thing(), dice.one_of(2, 3)
    names = dice.rng.sample(COLOURS, count)
    numbers = [dice.number(2, dice.largest // count) for _ in names]
    listed = [f"{n} {c} {things}" for n, c in zip(numbers, names, strict=True)]
    where = dice.one_of("in a box", "on the table", "in the garden", "in a shop")
    plot = StoryDraft("colours", f"There are {', '.join(listed[:-1])} and {listed[-1]} {where}.")
    total = numbers[0]
    for number, colour in zip(numbers[1:], names[1:], strict=True):
        why = f"We add the {colour} {things}"
        total = plot.step(why, total, "+", number, f"That makes {{}} {things}")
    ask = dice.one_of(f"How many {things} are there in all?", f"How many {things} are there?")
    return plot.told(ask, f"the number of {things}", f"There are {{}} {things}")


def difference(dice: Dice) -> Story:
    """How many more on one day, or of one person, than on the other."""
    hero, things = dice.person(), dice.thing()
    small = dice.number(1, dice.largest - 2)
    large = dice.number(small + 1, dice.largest)
    verb, past = dice.one_of(("pick", "picked"), ("buy", "bought"), ("sell", "sold"))
    plot, did = StoryDraft("difference"), f"{hero.name} {past} {large} {things}"
    if dice.chance(0.5):
        one, two = dice.rng.sample(DAYS, 2)
        plot.body.append(f"{did} on {one} and {small} {things} on {two}.")
        ask = f"How many more {things} did {hero.name} {verb} on {one} than on {two}?"
        fact = f"It is {{}} {things} more on {one}"
    else:
        other = dice.person()
        plot.body += [f"{did}.", f"{other.name} {past} {small} {things}."]
        ask = f"How many more {things} did {hero.name} {verb} than {other.name}?"
        fact = f"{hero.name} {past} {{}} more {things}"
    plot.step("We take the smaller from the larger", large, "-", small, fact)
    return plot.told(ask, "the difference", fact)


def bare(dice: Dice) -> Story:
    """Arithmetic without a story, one to three steps."""
    value = dice.number(2, dice.largest - 3)
    asked, plot = str(value), StoryDraft("bare")
    for _ in range(dice.one_of(1, 1, 2, 3)):
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
        asked += f" {word} {right}" if not plot.steps else f", then {word} {right}"
        value = plot.step("We compute", value, sign, right, "We have {}")
    ask = dice.one_of(f"What is {asked}?", f"Compute {asked}.")
    return plot.told(ask, "the result", "The result is {}")
