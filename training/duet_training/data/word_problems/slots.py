"""Words that fill the slots of templates, and numbers of every sort."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from typing import Any

import yaml

from duet_training.data.story_problems.words import HE, SHE, open_name

WORDS: dict[str, Any] = yaml.safe_load(
    files("duet_training.data.word_problems").joinpath("words.yaml").read_text("utf-8")
)
_THING: list[str] = list(WORDS["things"])
_PLAIN: dict[str, list[str]] = WORDS["plain"]
CLASSES: dict[str, list[str]] = WORDS["things"] | WORDS["others"]
# Slots for several are called as their class in the plural.
_PLURALS = {name: "goodses" if name == "goods" else f"{name}s" for name in CLASSES}
_PLURALS["dish"] = "dishes"
_SINGULAR = {plural: name for name, plural in _PLURALS.items()}
SLOT = re.compile(r"<([A-Za-z]+\d?)>")
_BASE = re.compile(r"([a-z]+?)(\d?)")


def plural(phrase: str) -> str:
    """More than one: of "slice of pizza", "slices of pizza".

    Examples:
        >>> plural("box"), plural("slice of pizza"), plural("apple tree"), plural("cherry")
        ('boxes', 'slices of pizza', 'apple trees', 'cherries')
    """
    head, of, rest = phrase.partition(" of ")
    before, space, word = head.rpartition(" ")
    if word in WORDS["plurals"]:
        word = WORDS["plurals"][word]
    elif word.endswith(("s", "x", "ch", "sh")):
        word += "es"
    elif word.endswith("y") and word[-2] not in "aeiou" and word != "yo-yo":
        word = f"{word[:-1]}ies"
    else:
        word += "s"
    return f"{before}{space}{word}{of}{rest}"


_ARTICLE = re.compile(r"\b([Aa]) (?=[aeioAEIO])")


def with_articles(text: str) -> str:
    """Write "an" before vowels, as in "an apple"."""
    return _ARTICLE.sub(r"\1n ", text)


@dataclass(frozen=True)
class _Someone:
    """A person of a problem."""

    name: str
    """First name."""
    he: bool
    """Whether the pronoun is "he"; otherwise it is "she"."""

    def form(self, form: str) -> str:
        return form if self.he else {"he": "she", "his": "her", "him": "her"}[form]


class Words:
    """Values of the slots of one problem."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._known: dict[str, str] = {}
        self._drawn: set[str] = set()
        self._people: dict[str, _Someone] = {}
        self._sort = ""
        # One problem has one currency, and one way to write it.
        self._money = rng.choice(("${}", "${}", "${}", "{} dollars", "{} euros", "€{}", "£{}"))

    def slot(self, name: str) -> str:
        """The value of a slot: `A`, `he`, `heB`, `t`, `u`, `food`, `foods`, `color2`.

        Raises:
            KeyError: there is no such slot.
        """
        if name in ("A", "B", "C", "D"):
            return self._someone(name).name
        if pronoun := re.fullmatch(r"(he|his|him|He|His|Him)([BCD]?)", name):
            word = self._someone(pronoun[2] or "A").form(pronoun[1].lower())
            return word.capitalize() if pronoun[1][0] == "H" else word
        if name not in self._known:
            self._known[name] = self._draw(name)
        return self._known[name]

    def money(self, amount: str) -> str:
        """An amount in the problem's currency."""
        return self._money.format(amount)

    def continued(self, sentence: str) -> str:
        """Put a sentence inside another: lower its first letter, except in names."""
        names = [person.name for person in self._people.values() if person.name[0].isupper()]
        proper = [*names, *_PLAIN["day"], *_PLAIN["month"], "I "]
        if sentence.startswith(tuple(proper)):
            return sentence
        return sentence[:1].lower() + sentence[1:]

    @property
    def currency(self) -> str:
        """The currency as a word."""
        return {"$": "dollars", "€": "euros", "£": "pounds"}.get(self._money[0], self._money[3:])

    def _someone(self, name: str) -> _Someone:
        if name not in self._people:
            he = self._rng.random() < 0.5
            taken = {each.name for each in self._people.values()}
            drawn = ""
            while not drawn or drawn in taken:
                drawn = (
                    open_name(self._rng)
                    if self._rng.random() < 0.25
                    else self._rng.choice(HE if he else SHE)
                )
                title = self._rng.random()
                if title < 0.04:
                    drawn = f"{'Mr.' if he else self._rng.choice(('Mrs.', 'Ms.'))} {drawn}"
                elif title < 0.09:
                    drawn = f"the {self._rng.choice(_PLAIN['job'])}"
            self._people[name] = _Someone(drawn, he)
        return self._people[name]

    def _draw(self, name: str) -> str:
        base, number = _BASE.fullmatch(name).groups()  # type: ignore[union-attr]
        if base == "currency":
            return self.currency
        if base in _PLAIN:
            return self._other(_PLAIN[base])
        kind = _SINGULAR.get(base, base)
        if base in ("t", "u", "v"):
            return plural(self._other(CLASSES[self._kind(base)]))
        singular = self._other(CLASSES[kind])
        self._known[f"{kind}{number}"] = singular
        self._known[f"{_PLURALS[kind]}{number}"] = plural(singular)
        return self._known[name]

    def _kind(self, base: str) -> str:
        """Draw a kind; two items of a problem are often of the same kind."""
        if not self._sort or (base != "t" and self._rng.random() < 0.4):
            drawn = self._rng.choice(_THING)
            self._sort = self._sort or drawn
            return drawn
        return self._sort

    def _other(self, words: Sequence[str]) -> str:
        drawn: str = self._rng.choice([word for word in words if word not in self._drawn] or words)
        self._drawn.add(drawn)
        return drawn


@dataclass(frozen=True)
class WrittenNumber:
    """A number of a problem."""

    value: Fraction
    """Its value, exactly."""
    text: str
    """Its text in the question."""


def _whole(rng: random.Random, low: int, high: int) -> WrittenNumber:
    value = rng.randint(low, high)
    if 1 < value < len(WORDS["numbers"]) and rng.random() < 0.12:
        return WrittenNumber(Fraction(value), WORDS["numbers"][value])
    text = f"{value:,}" if rng.random() < 0.5 else str(value)
    return WrittenNumber(Fraction(value), text)


def _price(rng: random.Random, low: int, high: int) -> WrittenNumber:
    if rng.random() < 0.65:
        value = rng.randint(low, high)
        return WrittenNumber(Fraction(value), str(value))
    cents = rng.choice((rng.randint(1, 19) * 5, rng.randint(1, 99)))
    whole = rng.randint(low, high)
    return WrittenNumber(whole + Fraction(cents, 100), f"{whole}.{cents:02d}")


def _decimal(rng: random.Random, low: int, high: int) -> WrittenNumber:
    places = rng.choice((1, 1, 2))
    value = Fraction(rng.randint(low * 10**places + 1, high * 10**places), 10**places)
    return WrittenNumber(value, f"{float(value):.{places}f}")


def _fraction(rng: random.Random, low: int, high: int) -> WrittenNumber:
    bottom = rng.randint(max(3, low), min(12, max(3, high)))
    top = rng.randint(1, bottom - 1)
    return WrittenNumber(Fraction(top, bottom), f"{top}/{bottom}")


def _percent(rng: random.Random, low: int, high: int) -> WrittenNumber:
    value = rng.choice((rng.randint(1, 19) * 5, rng.randint(max(1, low), min(99, high))))
    return WrittenNumber(Fraction(value), str(value))


SORTS: dict[str, tuple[Callable[[random.Random, int, int], WrittenNumber], int, int]] = {
    # sort: how it is drawn, from, to
    "": (_whole, 2, 99),
    "small": (_whole, 2, 12),
    "big": (_whole, 100, 5000),
    "money": (_price, 2, 60),
    "price": (_price, 1, 20),
    "dec": (_decimal, 0, 20),
    "frac": (_fraction, 3, 12),
    "percent": (_percent, 5, 95),
    "age": (_whole, 4, 70),
}
