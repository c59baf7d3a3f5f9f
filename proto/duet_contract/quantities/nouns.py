"""Plural nouns of English, so that an answer says "1 pen" and "2 red pens"."""

import re

_IRREGULAR = {
    "canoes": "canoe",
    "children": "child",
    "feet": "foot",
    "gases": "gas",
    "geese": "goose",
    "halves": "half",
    "horseshoes": "horseshoe",
    "knives": "knife",
    "leaves": "leaf",
    "lenses": "lens",
    "lives": "life",
    "loaves": "loaf",
    "men": "man",
    "mice": "mouse",
    "people": "person",
    "pence": "penny",
    "quizzes": "quiz",
    "scarves": "scarf",
    "shelves": "shelf",
    "shoes": "shoe",
    "teeth": "tooth",
    "toes": "toe",
    "wives": "wife",
    "wolves": "wolf",
    "women": "woman",
}
# These lose an s alone, unlike "cherries"; words of four letters, such as "pies", do as well.
_IN_IE_WORDS = (
    "birdies brownies calories cookies goalies hoodies hoagies movies newbies pixies prairies rookies "
    "selfies smoothies veggies zombies"
)
_IN_IE = frozenset(_IN_IE_WORDS.split())
# These end in s but are more often verbs or singular.
_NO_PLURAL_WORDS = (
    "always as costs does gas gets gives goes has his its lens less makes needs news plus remains "
    "sells series species spends takes this towards us was weighs"
)
_NO_PLURAL = frozenset(_NO_PLURAL_WORDS.split())
_PLURAL = re.compile(r"[a-z]+(?<!s)(?<!u)(?<!i)s")
_ES = re.compile(r"(?:ch|sh|x|ss|zz|o|[bmnprt]us)es$", re.IGNORECASE)


def is_plural(word: str) -> bool:
    """Return whether a word looks like a plural noun.

    Examples:
        >>> [word for word in "red pens glass children boxes bus is".split() if is_plural(word)]
        ['pens', 'children', 'boxes']
    """
    low = word.lower()
    return low in _IRREGULAR or bool(_PLURAL.fullmatch(low) and low not in _NO_PLURAL)


def singular(word: str) -> str:
    """Return the singular of a plural noun, in its case.

    Examples:
        >>> [singular(word) for word in ("Boxes", "cherries", "cookies", "people", "CDs", "cactuses")]
        ['Box', 'cherry', 'cookie', 'person', 'CD', 'cactus']
    """
    low = word.lower()
    if low in _IRREGULAR:
        found = _IRREGULAR[low]
        return found.capitalize() if word[:1].isupper() else found
    if low.endswith("ies") and len(low) > 4 and low not in _IN_IE:
        return f"{word[:-3]}y"
    return word[:-2] if _ES.search(word) else word[:-1]
