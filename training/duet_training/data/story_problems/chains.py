"""Stories of one amount that changes, event by event: as many steps as wanted."""

from collections.abc import Callable

from duet_training.data.story_problems.story import Sign, Story, StoryDraft
from duet_training.data.story_problems.words import GROUPS, HOLDERS, WORDS, Dice, Person, plural

TIMES = {2: ("doubles", "doubled"), 3: ("triples", "tripled")}
THEN = ("Then ", "After that, ", "Later, ", "Next, ", "The next day, ", "")


class _Chain:
    """A plot with one amount. `now`: the current amount; `clauses`: the events so far."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.hero, self.things = dice.person(), dice.thing()
        self.past = int(dice.chance(0.5))
        self.first = self.now = dice.number(2, dice.largest * 2 // 3)
        self.clauses: list[str] = []
        self.plot = StoryDraft("chain")

    def have(self) -> str:
        return ("has", "had")[self.past]

    def add(self, why: str, sign: Sign, right: int) -> None:
        """Make one step from the current amount."""
        fact = f"Now {self.hero.name} {self.have()} {{}} {self.things}"
        self.now = self.plot.step(why, self.now, sign, right, fact)

    def happens(self, clause: str, so: str, sign: Sign, right: int) -> bool:
        """Tell an event, and make its step."""
        self.clauses.append(clause)
        self.add(f"{self.hero.name} {clause}, so we {so}", sign, right)
        return True

    def other(self) -> Person:
        return self.dice.person()


def _gain(chain: _Chain) -> bool:
    number = chain.dice.number(2, chain.dice.largest - chain.now)
    if chain.now + number > chain.dice.largest:
        return False
    form = chain.dice.phrasing(WORDS["gains"], WORDS["more_gains"])[chain.past]
    clause = form.format(n=number, t=chain.things, o=chain.other().name)
    return chain.happens(clause, "add", "+", number)


def _loss(chain: _Chain) -> bool:
    if chain.now < 3:
        return False
    number = chain.dice.number(1, chain.now - 1)
    form = chain.dice.phrasing(WORDS["losses"], WORDS["more_losses"])[chain.past]
    clause = form.format(n=number, t=chain.things, o=chain.other().name)
    return chain.happens(clause, "take away", "-", number)


def _times(chain: _Chain) -> bool:
    factor = chain.dice.pick([2, 3])
    if not 0 < chain.now * factor <= chain.dice.largest:
        return False
    clause = f"{TIMES[factor][chain.past]} the number of {chain.things}"
    return chain.happens(clause, f"multiply by {factor}", "*", factor)


def _half(chain: _Chain) -> bool:
    if chain.now % 2 or chain.now < 4:
        return False
    verb = ("gives", "gave")[chain.past]
    clause = f"{verb} half of the {chain.things} to {chain.other().name}"
    return chain.happens(clause, "divide by 2", "/", 2)


def _packs(chain: _Chain) -> bool:
    """Two steps: how many they hold, then the sum."""
    room = chain.dice.largest - chain.now
    if room < 4:
        return False
    packs = chain.dice.number(2, min(9, room // 2))
    each = chain.dice.number(2, min(9, room // packs))
    holder = chain.dice.pick(HOLDERS)
    verb = ("buys", "bought")[chain.past]
    clause = f"{verb} {packs} {plural(holder)} with {each} {chain.things} in each {holder}"
    chain.clauses.append(clause)
    fact = f"The {plural(holder)} hold {{}} {chain.things}"
    held = chain.plot.step(f"{chain.hero.name} {clause}", packs, "*", each, fact)
    chain.add("we add them", "+", held)
    return True


EVENTS: tuple[tuple[Callable[[_Chain], bool], int, int], ...] = (
    # event, how many steps it takes, weight
    (_gain, 1, 5),
    (_loss, 1, 5),
    (_times, 1, 1),
    (_half, 1, 1),
    (_packs, 2, 2),
)


def chain(dice: Dice, steps: int) -> Story:
    """A story of `steps` steps."""
    tale = _Chain(dice)
    shared = steps > 1 and dice.chance(0.25)
    wanted = steps - int(shared)
    while len(tale.plot.steps) < wanted:
        open_ = [(e, w) for e, needs, w in EVENTS if needs <= wanted - len(tale.plot.steps)]
        event = dice.rng.choices([e for e, _ in open_], [w for _, w in open_])[0]
        event(tale)
    if shared:
        divisors = [d for d in range(2, 11) if tale.now % d == 0 and tale.now // d > 0]
        if divisors:
            return _told(tale, *_share(tale, dice.pick(divisors)))
        while len(tale.plot.steps) < steps:
            dice.pick([_gain, _loss])(tale)
    return _told(tale, *_count(tale))


def _count(tale: _Chain) -> tuple[str, str, str]:
    name, things, dice = tale.hero.name, tale.things, tale.dice
    ask = dice.phrasing(
        (
            f"How many {things} does {name} have now?",
            f"How many {things} does {name} have in the end?",
            f"How many {things} are there now?",
            f"Find the number of {things} that {name} has now.",
            f"How many {things} does {tale.hero.he} have now?",
        ),
        (
            f"How many {things} has {name} now?",
            f"How many {things} has {tale.hero.he} got now?",
            f"How many {things} does {tale.hero.he} end up with?",
            f"What is the number of {things} {tale.hero.he} has now?",
            f"How many {things} would {name} have then?",
            f"Now how many {things} does {name} have?",
        ),
    )
    return ask, f"how many {things} {name} has now", f"{name} has {{}} {things} now"


def _share(tale: _Chain, parts: int) -> tuple[str, str, str]:
    things, dice = tale.things, tale.dice
    inside = dice.chance(0.5)
    unit = dice.pick(HOLDERS if inside else GROUPS)
    verb = (("puts", "put") if inside else ("shares", "shared"))[tale.past]
    link = "into" if inside else "among"
    clause = f"{verb} all the {things} equally {link} {parts} {plural(unit)}"
    tale.clauses.append(clause)
    gets = f"Each {unit} gets {{}} {things}"
    tale.plot.step(f"{tale.hero.name} {clause}, so we divide", tale.now, "/", parts, gets)
    ask = dice.one_of(
        f"How many {things} does each {unit} get?", f"How many {things} are there for each {unit}?"
    )
    return ask, f"how many {things} each {unit} gets", gets


def _told(tale: _Chain, ask: str, sought: str, statement: str) -> Story:
    """Sentences of one clause or of two."""
    dice, hero = tale.dice, tale.hero
    body = tale.plot.body
    body.append(f"{hero.name} {tale.have()} {tale.first} {tale.things}.")
    clauses = list(tale.clauses)
    while clauses:
        who = hero.name if dice.chance(0.3) else hero.he
        opening = dice.pick(THEN)
        said = clauses.pop(0)
        if clauses and dice.chance(0.35):
            said += f" and then {clauses.pop(0)}" if dice.chance(0.5) else f" and {clauses.pop(0)}"
        sentence = f"{opening}{who} {said}."
        body.append(sentence[0].upper() + sentence[1:])
    return tale.plot.told(ask, sought, statement)
