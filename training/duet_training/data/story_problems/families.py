"""Stories of one to three steps with a plot of their own each, plain sums, and held-out ones."""

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
