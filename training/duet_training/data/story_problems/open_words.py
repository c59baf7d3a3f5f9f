"""Words beyond the fixed lists, so that a model learns to carry over words that it has never met.

Most are real; some are made of syllables, since no list holds every name and thing that people ask
about.
"""

import random


def listed(text: str) -> tuple[str, ...]:
    """Words of a text."""
    return tuple(text.split())


NAMES = listed(
    "Alice Bella Clara Diana Erin Fiona Gina Hannah Isabel Jenny Karen Laura Megan Nora Olga "
    "Pam Quinn Rachel Sophie Tina Uma Vera Willow Yara Zara Ava Beth Carla Daisy Edith Faith "
    "Gloria Holly Ingrid Jill Kayla Leah Molly Natalie Priya Rita Sandra Tara Ursula Violet "
    "Aaron Brian Chris Dylan Edward Felix Gary Hugo Isaac James Kyle Leo Martin Nathan Oscar "
    "Peter Robert Simon Thomas Victor Walter Xavier Yusuf Zach Andrew Ben Charlie Diego Ethan "
    "Finn Gabriel Haruto Ian Jose Kenji Lucas Mateo Nick Owen Pedro Rahul Ryan Sean Tyler"
)
THINGS = listed(
    "grapes cherries melons mangoes nuts almonds raisins sandwiches burgers pizzas pancakes "
    "waffles donuts pies tarts biscuits chocolates lollipops sweets chips bagels rolls loaves "
    "rocks bricks tiles nails screws bolts wires pipes planks boards ropes ribbons beans seeds "
    "leaves branches bushes plants dollars pennies nickels dimes quarters badges posters cards "
    "pictures drawings paintings letters stamps notes notebooks folders papers erasers rulers "
    "markers brushes pins clips dolls robots cars trucks trains planes kites puzzles games "
    "blocks dice hats shirts socks shoes gloves scarves coats dresses rings necklaces "
    "bracelets pillows blankets towels candles lamps plates forks spoons knives glasses mugs boxes "
    "fish birds cats dogs rabbits chickens ducks cows sheep horses goats frogs bees ants worms "
    "points tickets songs videos magazines newspapers comics discs keys locks batteries"
)
_ONSETS = listed("b bl br c ch cl d dr f fl g gr h j k l m n p pl qu r s sh st t tr v w z")
_VOWELS = listed("a e i o u ai ea oo")
_CODAS = ("", "", "", "n", "l", "r", "m", "t", "ck", "sh", "nd", "ll")
MADE_UP = 0.5


def open_name(rng: random.Random) -> str:
    """A first name that no story of a closed scope has."""
    return _made_up(rng).capitalize() if rng.random() < MADE_UP else rng.choice(NAMES)


def open_things(rng: random.Random) -> str:
    """Things, in the plural."""
    return f"{_made_up(rng)}s" if rng.random() < MADE_UP else rng.choice(THINGS)


def _made_up(rng: random.Random) -> str:
    syllables = rng.choice((1, 2, 2, 3))
    sound = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
    return sound + rng.choice(_CODAS)
