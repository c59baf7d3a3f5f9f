"""Words of synthetic word problems (`words.yaml`), and the random choice among them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

import yaml

T = TypeVar("T")

WORDS: dict[str, Any] = yaml.safe_load(
    files("duet_training.data.story_problems").joinpath("words.yaml").read_text("utf-8")
)


def _listed(name: str) -> list[str]:
    words: list[str] = WORDS[name].split()
    return words


HE, SHE, THINGS, HOLDERS = map(_listed, ("he", "she", "things", "holders"))
GROUPS, COLOURS, GOODS = map(_listed, ("groups", "colours", "goods"))
DAYS, RELATIVES = map(_listed, ("days", "relatives"))
_OPEN_NAMES, _OPEN_THINGS, _ONSETS, _VOWELS = map(
    _listed, ("open_names", "open_things", "onsets", "vowels")
)
_CODAS = ("", "", "", "n", "l", "r", "m", "t", "ck", "sh", "nd", "ll")
MADE_UP = 0.5
"""Share of open words that are made of syllables, since no list holds all that people ask about."""


def open_name(rng: random.Random) -> str:
    """Draw a first name that no story of a closed scope has."""
    return _made_up(rng).capitalize() if rng.random() < MADE_UP else rng.choice(_OPEN_NAMES)


def open_things(rng: random.Random) -> str:
    """Draw things, in the plural, that a model may never have met."""
    return f"{_made_up(rng)}s" if rng.random() < MADE_UP else rng.choice(_OPEN_THINGS)


def _made_up(rng: random.Random) -> str:
    syllables = rng.choice((1, 2, 2, 3))
    sound = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
    return sound + rng.choice(_CODAS)


def plural(word: str) -> str:
    """More than one of it."""
    return str(WORDS["plurals"].get(word, f"{word}s"))


@dataclass(frozen=True)
class Person:
    """Someone in a story."""

    name: str
    """First name."""
    he: str
    """Pronoun: `he` or `she`."""

    @property
    def his(self) -> str:
        """The possessive."""
        return "his" if self.he == "he" else "her"


class Dice:
    """Choices of one story.

    `largest`: no number in it is greater; `open_share`: how many of its names and things are from
    beyond the fixed lists.
    """

    def __init__(self, rng: random.Random, largest: int, open_share: float = 0.0) -> None:
        self.rng, self.largest, self.open_share = rng, largest, open_share
        self._people: set[str] = set()
        self._things: set[str] = set()

    def pick(self, options: Sequence[T]) -> T:
        """Any of a list."""
        return self.rng.choice(options)

    def one_of(self, *options: T) -> T:
        """Any of them."""
        return self.rng.choice(options)

    def chance(self, share: float) -> bool:
        """True in `share` of all cases."""
        return self.rng.random() < share

    def number(self, low: int, high: int) -> int:
        """Low to high, both included; `high` is brought down to `largest`."""
        return self.rng.randint(low, max(low, min(high, self.largest)))

    def phrasing(self, usual: Sequence[T], more: Sequence[T]) -> T:
        """One of the usual ways to say something; in a story with open words, of all."""
        return self.pick((*usual, *more) if self.open_share else usual)

    def person(self) -> Person:
        """Someone who is not in the story yet."""
        he = self.chance(0.5)
        name = ""
        if self._open():
            name = open_name(self.rng)
        if not name or name in self._people:
            name = self.pick([name for name in (HE if he else SHE) if name not in self._people])
        self._people.add(name)
        return Person(name, "he" if he else "she")

    def thing(self) -> str:
        """Things that are not in the story yet."""
        thing = ""
        if self._open():
            thing = open_things(self.rng)
        if not thing or thing in self._things:
            thing = self.pick([thing for thing in THINGS if thing not in self._things])
        self._things.add(thing)
        return thing

    def _open(self) -> bool:
        # No die is thrown for a closed scope: its stories stay what they are.
        return self.open_share > 0 and self.chance(self.open_share)

    def factors(self, most: int = 12) -> tuple[int, int]:
        """Two numbers from 2 up whose product is no greater than `largest`."""
        first = self.number(2, min(most, self.largest // 2))
        return first, self.number(2, min(most, self.largest // first))
