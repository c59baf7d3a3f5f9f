"""Names, objects and places of synthetic word problems, and the random choice among them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from duet_training.data.story_problems.open_words import listed, open_name, open_things

T = TypeVar("T")


HE = listed(
    "Tom Bob Max Sam Ben Dan Jack Liam Noah Omar Carlos David Paul Mark Luke Adam Jason Billy "
    "Mike Kevin Frank George Henry Ivan Joe Tim Fred Will Eric Alan"
)
SHE = listed(
    "Ann Sue Eve Mia Zoe Lily Emma Olivia Sara Maria Julia Nina Rosa Kate Jane Mary Sally Emily "
    "Lisa Amy Fatima Chloe Ella Grace Helen Iris Joan Nancy Paula Wendy"
)
THINGS = listed(
    "apples oranges pears plums lemons peaches cookies cakes candies muffins marbles stickers "
    "cards coins stamps books pencils pens crayons balloons toys shells stones flowers roses "
    "eggs tickets buttons bottles cups photos beads bananas tomatoes carrots cupcakes"
)
HOLDERS = listed("bag box basket jar packet pack case bowl tray shelf")
GROUPS = listed("friend child student neighbour cousin classmate")
COLOURS = listed("red blue green yellow white black orange purple")
GOODS = listed("pen book toy ball hat shirt cup ticket puzzle game bag cake lamp plant")
DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
RELATIVES = listed("sister brother cousin friend mother uncle")
PLURALS = {"box": "boxes", "shelf": "shelves", "child": "children"}
WORK = (
    ("reads", "read", "pages"),
    ("writes", "wrote", "letters"),
    ("bakes", "baked", "cakes"),
    ("runs", "ran", "miles"),
    ("plants", "planted", "trees"),
    ("makes", "made", "toys"),
    ("paints", "painted", "rooms"),
    ("washes", "washed", "cars"),
    ("solves", "solved", "puzzles"),
    ("sells", "sold", "tickets"),
)


def plural(word: str) -> str:
    """More than one of it."""
    return PLURALS.get(word, f"{word}s")


@dataclass(frozen=True)
class Person:
    """Someone in a story."""

    name: str
    he: str

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
        """Any of them."""
        return self.rng.choice(options)

    def chance(self, share: float) -> bool:
        """True in `share` of all cases."""
        return self.rng.random() < share

    def number(self, low: int, high: int) -> int:
        """Low to high, both included; `high` is brought down to `largest`."""
        return self.rng.randint(low, max(low, min(high, self.largest)))

    def phrasing(self, usual: tuple[T, ...], more: tuple[T, ...]) -> T:
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
