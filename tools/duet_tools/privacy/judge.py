"""Decide whether a text states a number; by tables of its own, not by the device's masking."""

import re
import unicodedata
from itertools import product

UNITS = "two three four five six seven eight nine"
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"

RELATIONS = {
    "one": "one ones once",
    "nothing": "zero nil nought naught none",
    "multiples": "twice thrice single double triple quadruple quintuple",
    "groups": "both couple dozen dozens duo gross pair pairs quartet score trio twin twins",
    "magnitudes without a number before them": (
        "hundred hundreds thousand thousands million millions billion billions trillion trillions"
    ),
    "fractions": (
        "half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths "
        "seventh sevenths eighth eighths ninth ninths tenth tenths twelfth twelfths sixteenths "
        "hundredths thousandths"
    ),
    "ordinals of one word": (
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth "
        "thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth hundredth thousandth"
    ),
}
"""Number words that leave the device, by what they state: relations, not quantities."""
_RELATIONS = frozenset(" ".join(RELATIONS.values()).split())
_NUMBERS = frozenset(
    [
        *f"{UNITS} {TEENS} {TENS} fourty ninty".split(),
        *(f"{tens}{unit}" for tens in TENS.split() for unit in ("one", *UNITS.split())),
        *(f"{tens[:-1]}ies" for tens in TENS.split()),
        *(
            f"{word}{suffix}"
            for word in f"{UNITS} {TEENS} {TENS} hundred".split()
            for suffix in ("fold", "ish", "some", "something", "pence")
        ),
        *(f"{word}{plural}" for word in f"{UNITS} {TEENS}".split() for plural in ("s", "es")),
    ]
)
# Units of measure that are one sign and have an exponent, such as the square metre.
_UNIT_SIGNS = frozenset("㎟㎠㎡㎢㎣㎤㎥㎦㎨㎯㍸㍹")
# Pictures of a number: dice, clocks, tiles, cards, 10, 100, 18, tag digits.
_PICTURES = (
    (0x2680, 0x2685), (0x1F550, 0x1F567), (0x1F51F, 0x1F51F), (0x1F4AF, 0x1F4AF),
    (0x1F51E, 0x1F51E), (0x1F007, 0x1F021), (0x1F031, 0x1F061), (0x1F063, 0x1F093),
    (0x1F0A1, 0x1F0AE), (0xE0030, 0xE0039),
)  # fmt: skip
_LETTERS = re.compile(r"[^\W\d_]+")
_HUNDREDS = " C CC CCC CD D DC DCC DCCC CM"
_ROMAN_TENS = " X XX XXX XL L LX LXX LXXX XC"
_ROMAN_UNITS = " I II III IV V VI VII VIII IX"


def _romans() -> frozenset[str]:
    """Return the Roman numerals longer than initials: of I, V and X, or of four letters."""
    thousands = [count * "M" for count in range(4)]
    places = (thousands, *(each.split(" ") for each in (_HUNDREDS, _ROMAN_TENS, _ROMAN_UNITS)))
    texts = map("".join, product(*places))
    return frozenset(text for text in texts if len(text) >= (2 if set(text) <= set("IVX") else 4))


_ROMANS = _romans()


def numbers_in(text: str) -> list[str]:
    """Return what of a text states a number.

    Args:
        text: of a question, before or after masking.

    Returns:
        Characters that are or contain a digit in any script, pictures of a number, number words,
        and Roman numerals. Words of `RELATIONS` do not count.

    Examples:
        >>> numbers_in("Two of [a] pens, 3kg, half of Ⅳ")
        ['3', 'Ⅳ', 'two', 'IV']
        >>> numbers_in("twenty-first, World War II")
        ['twenty', 'II']
    """
    signs = [each for each in text if _is_numeric(each)]
    words = _words(text)
    return [
        *signs,
        *(word.lower() for word in words if word.lower() in _NUMBERS),
        *(word for word in words if word in _ROMANS),
    ]


def relations_in(text: str) -> list[str]:
    """Return the words of `RELATIONS` in a text."""
    return [word.lower() for word in _words(text) if word.lower() in _RELATIONS]


def _is_numeric(character: str) -> bool:
    if character.isascii() or character in _UNIT_SIGNS:
        return character.isdigit()
    if any(first <= ord(character) <= last for first, last in _PICTURES):
        return True
    whole = character + unicodedata.normalize("NFKC", character)
    return any(unicodedata.numeric(each, None) is not None for each in whole)


def _words(text: str) -> list[str]:
    if not text.isascii():
        visible = (each for each in text if unicodedata.category(each) != "Cf")
        # The Turkish dotless i looks like an i.
        text = unicodedata.normalize("NFKC", "".join(visible)).replace("\u0131", "i")
    return _LETTERS.findall(text)
