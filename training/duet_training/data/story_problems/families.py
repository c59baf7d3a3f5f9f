"""Stories of one to three steps with a plot of their own each."""

from duet_training.data.story_problems.story import Sign, Story, StoryDraft
from duet_training.data.story_problems.words import GOODS, HOLDERS, RELATIVES, WORDS, Dice, plural


def groups(dice: Dice) -> Story:
    """So many holders with so many things each, some of which go or come."""
    things, holder = dice.thing(), dice.pick(HOLDERS)
    holders, (count, each) = plural(holder), dice.factors()
    opening = dice.pick(
        (
            f"There are {count} {holders} with {each} {things} in each {holder}.",
            f"Each {holder} holds {each} {things}. There are {count} {holders}.",
            f"A shop has {count} {holders} of {things}. Each {holder} has {each} {things}.",
        )
    )
    plot = StoryDraft("groups", opening)
    why = f"There are {count} {holders} of {each}, so we multiply"
    total = plot.step(why, count, "*", each, f"There are {{}} {things}")
    change = dice.pick(("none", "less", "more"))
    if change == "less" and total > 3:
        gone = dice.number(1, total - 1)
        how = dice.pick(("are sold", "are broken", "are eaten", "are taken away", "are lost"))
        plot.body.append(f"{gone} of the {things} {how}.")
        why = f"{gone} {how}, so we take away"
        plot.step(why, total, "-", gone, f"{{}} {things} are left")
        ask = f"How many {things} are left?"
    elif change == "more" and total + 2 <= dice.largest:
        more = dice.number(2, dice.largest - total)
        plot.body.append(f"There are {more} more {things} on the table.")
        why = f"{more} more are on the table, so we add"
        plot.step(why, total, "+", more, f"There are {{}} {things} in all")
        ask = dice.pick((f"How many {things} are there in all?", f"How many {things} in total?"))
    else:
        ask = dice.pick((f"How many {things} are there?", f"How many {things} are there in all?"))
    return plot.told(ask, f"the number of {things}", f"There are {{}} {things}")


def sharing(dice: Dice) -> Story:
    """All of it, or what is left, in equal parts."""
    hero, things, holder = dice.person(), dice.thing(), dice.pick(HOLDERS)
    holders, (parts, each) = plural(holder), dice.factors()
    total, plot, rest = parts * each, StoryDraft("sharing"), "them"
    if dice.chance(0.5) and total + 2 <= dice.largest:
        gone, rest = dice.number(2, dice.largest - total), "the rest"
        verb = dice.pick(("eats", "sells", "keeps", "gives away"))
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
    plot = StoryDraft("comparing", f"{one.name} has {first} {things}.", f"{said}.")
    had = f"{two.name} has {{}} {things}"
    second = plot.step(f"{said}, so we {do}", first, sign, right, had)
    if first + second <= dice.largest and dice.chance(0.6):
        both = f"Together they have {{}} {things}"
        plot.step("We add both", first, "+", second, both)
        ask = f"How many {things} do they have {dice.pick(('together', 'in all'))}?"
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
    ask = dice.pick((f"How much does {hero.name} pay?", f"How many dollars does {hero.he} spend?"))
    return plot.told(ask, f"what {hero.name} pays", f"{hero.name} pays ${{}}")


def routine(dice: Dice) -> Story:
    """The same work every day, and maybe some more."""
    hero, (present, _, things) = dice.person(), dice.pick(WORDS["work"])
    days, each = dice.factors(9)
    units = plural(unit := dice.pick(("day", "week", "hour")))
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
