"""Sentences around results: those that a decoder writes, and plain ones that need no decoder."""

import re
from collections.abc import Sequence

from duet_contract.errors import FormulaError
from duet_contract.quantities.checks import result_of, time_of_day
from duet_contract.quantities.computing import Value, compute
from duet_contract.quantities.labels import LABEL
from duet_contract.quantities.masking import Masked, fill_labels
from duet_contract.quantities.nouns import is_plural, singular
from duet_contract.quantities.rounding import Asked, asked, written
from duet_contract.quantities.units import times_of_day

RESULT = "{=}"
"""Takes the result of the signal's formula."""
_HOLE = re.compile(r"\{([^{}]*)\}")
# With what changes around the number 1: "There are {=} red pens".
_NUMBER = re.compile(
    r"(?P<there>\bthere (?:are|were) (?:only )?)?(?P<sign>[$€£¥₹]?)\{[^{}]*\}"
    r"(?P<after>\s*(?:o['\u2019]?clock\b|[ap]m\b|[ap]\.m\.))?(?P<words>(?: [^\W\d_]+){1,6})?",
    re.IGNORECASE,
)
_OF_ONE = {"are": "is", "were": "was", "have": "has"}
_BEFORE_NOUN = 3
_NO_ADJECTIVES = (
    "and at by can could did do does each for from in is left of on or out per than that to was will "
    "with would"
)
_NO_ADJECTIVE = frozenset([*_OF_ONE, *_NO_ADJECTIVES.split()])
# Labels, and placeholders of a redaction, which may have digits.
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_MANY = re.compile(r"\bhow many ((?:[^\W\d_]+ ){0,3}[^\W\d_]+)", re.IGNORECASE)
_OF_MONEY = re.compile(r"[$\u20ac\u00a3]\{|\} (?:dollars|euros)\b")
_OF_POUNDS = re.compile(r"\} pounds\b")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_OPENER_WORDS = (
    "a adding after all altogether an and as at before both by currently during each every for from he "
    "her his i if in it its my now of on one only our out per she since so that the their then there "
    "these they this those to today together tomorrow we when with you your yesterday"
)
_OPENERS = frozenset(_OPENER_WORDS.split())
"""Capitalized words that name nothing."""
_SIGNS = {"$": {"dollar", "cent"}, "€": {"euro", "cent"}, "£": {"pound", "penny"}}
_CLOCK = {"hour", "minute"}
_AGE = re.compile(r"\b(?:old|older|oldest|younger|youngest|ages?|aged|born)\b", re.IGNORECASE)


def fill(sentence: str, masked: Masked, value: Value | None) -> tuple[str, Value]:
    """Compute the formulas in a sentence and insert its numbers.

    Args:
        sentence: with formulas in braces, `{=}` for the signal's result, and labels. A formula may
            use the steps of the signal's: `{a-A}`.
        masked: the question.
        value: what the signal's formula gives; None if there is no signal.

    Returns:
        The sentence, and what it says: the signal's result if it has that, else its last formula's.

    Raises:
        FormulaError: the sentence has no formula in braces, or one cannot be computed; with a
            signal, also if it has the result twice, a single brace, or digits of its own.

    Examples:
        >>> from duet_contract.quantities import compute, mask
        >>> question = mask("Nina had 40 euros and spent 24. How many euros are left?")
        >>> text, value = fill(
        ...     "Of [a] euros, {=} are left.", question, compute("a-b", question.quantities)
        ... )
        >>> text
        'Of 40 euros, 16 are left.'
    """
    holes = [hole.strip() for hole in _HOLE.findall(sentence)]
    if not holes:
        raise FormulaError("the sentence has no formula in braces")
    rest = _BRACKETS.sub("", _HOLE.sub("", sentence))
    stray = holes.count(RESULT.strip("{}")) > 1 or any(c in "{}" or c.isdecimal() for c in rest)
    if value and stray:
        raise FormulaError(
            "the sentence has the result twice, a single brace, or digits of its own"
        )
    signal = RESULT.strip("{}")
    unknown = set(LABEL.findall(sentence)) - set(LABEL.findall(masked.text))
    if unknown and value:
        raise FormulaError(
            f"the sentence has the label {min(unknown)}, which the question does not have"
        )
    if unknown or invented(sentence, masked):
        # The formula is right more often than the words around it.
        holes = [signal if value and signal in holes else holes[-1]]
        plain = plain_sentence(masked.text, asked(masked.text))
        sentence = plain.replace(RESULT, f"{{{holes[0]}}}")
    if signal in holes and value is None:
        raise FormulaError("the sentence needs the signal's result, and there is no signal")
    before = "".join(f"{step.formula}={step.name};" for step in value.work) if value else ""
    results = [
        value if value and hole == signal else compute(before + hole, masked.quantities)
        for hole in holes
    ]
    said = value if value and signal in holes else results[-1]
    what = asked_by(masked, sentence, said)
    half = _half_of_day(masked, said) if what.sort == "clock" else ""
    numbers = iter(results)

    def number(hole: re.Match[str]) -> str:
        text, after = written(result_of(masked, next(numbers)), what), hole["after"] or ""
        there, words = hole["there"] or "", hole["words"] or ""
        if half:
            after = f" {half}" + ("." if after.endswith(".") and hole.end() == len(told) else "")
        elif ":" in text:
            after = ""
        if text == "1" and not hole["sign"]:
            there, words = _of_one(there, words)
        # The sign goes before the currency: -$5.
        minus, digits = ("-", text[1:]) if text[0] == "-" else ("", text)
        return f"{there}{minus}{hole['sign']}{digits}{after}{words}"

    # Labels first: no hole has brackets, and no number becomes a label.
    told = fill_labels(sentence, masked.quantities)
    return _NUMBER.sub(number, told), said


def invented(sentence: str, masked: Masked) -> list[str]:
    """Return the names, and the thing or unit that is counted, which only the sentence has.

    A small decoder confuses names ("Ian" for "I") and units ("years" for "feet").

    Args:
        sentence: with formulas in braces.
        masked: the question. Its currency signs name dollars, euros and pounds, its times of day hours
            and minutes, its ages years.

    Examples:
        >>> from duet_contract.quantities import mask
        >>> invented("Ian has {=} years left.", mask("I had 5 feet of rope. What is left of it?"))
        ['Ian', 'years']
        >>> invented("They cost {=} dollars.", mask("A pen costs $3. What do 2 pens cost?"))
        []
    """
    known = {_stem(word) for word in _WORD.findall(masked.text)}
    for sign, units in _SIGNS.items():
        known |= units if sign in masked.text else set()
    known |= _CLOCK if times_of_day(masked) else set()
    known |= {"year"} if _AGE.search(masked.text) else set()
    names = [
        word
        for word in _WORD.findall(_BRACKETS.sub("", _HOLE.sub("", sentence)))
        if word[0].isupper() and word.lower() not in _OPENERS
    ]
    counted = [
        words[noun]
        for place in _NUMBER.finditer(sentence)
        if (words := (place["words"] or "").split()) and (noun := _noun_at(words)) is not None
    ]
    return [word for word in (*names, *counted) if _stem(word) not in known]


def _stem(word: str) -> str:
    low = word.lower().replace("\u2019", "'").removesuffix("'s")
    return singular(low) if is_plural(low) else low


def asked_by(masked: Masked, sentence: str, value: Value) -> Asked:
    """Return what a question asks for, as far as the answer tells more than the question.

    The sentence may say that it is money. A result of times of day is one, where the question asks
    when something is.

    Args:
        masked: the question.
        sentence: with `{=}` or other formulas in braces.
        value: what the answer gives.

    Examples:
        >>> from duet_contract.quantities import compute, mask
        >>> question = mask("One pen is $3. What is it for 2?")
        >>> value = compute("a*b", question.quantities)
        >>> asked_by(question, "It is {=} dollars.", value).sort
        'money'
    """
    what = asked(masked.text)
    if what.sort not in ("number", "money"):
        return what
    if (start := time_of_day(masked, value)) is not None:
        return Asked("clock" if start else "day clock", None)
    says_money = _OF_MONEY.search(sentence) or ("£" in masked.text and _OF_POUNDS.search(sentence))
    return Asked("money", None) if what.sort == "number" and says_money else what


def _half_of_day(masked: Masked, value: Value) -> str:
    """Return "am" or "pm" of a time of day, if the question says it of the time that is counted from."""
    start = time_of_day(masked, value)
    # A formula with 12 has counted beyond noon itself.
    if start not in ("am", "pm") or any("12" in step.symbols for step in value.steps):
        return ""
    return "pm" if (value.value + (12 if start == "pm" else 0)) % 24 >= 12 else "am"


def _of_one(there: str, words: str) -> tuple[str, str]:
    """Write the noun and the verb around a single thing in the singular: "1 pen is left"."""
    each = words.split()
    noun = _noun_at(each)
    if noun is not None:
        each[noun] = singular(each[noun])
    verb = next((at for at, word in enumerate(each) if word in _OF_ONE), None)
    if verb is not None and (noun is not None or verb == 0 or each[0] == "of"):
        each[verb] = _OF_ONE[each[verb]]
    there = there.replace(" are", " is").replace(" were", " was")
    return there, "".join(f" {word}" for word in each)


def _noun_at(words: Sequence[str]) -> int | None:
    """Return the place of the first plural noun of words after a number; None without one."""
    for place, word in enumerate(words[:_BEFORE_NOUN]):
        if is_plural(word):
            return place
        if word.lower() in _NO_ADJECTIVE:
            return None
    return None


def plain_sentence(question: str, what: Asked) -> str:
    """Return a sentence around `{=}`, the result, for questions that come without one of their own.

    Args:
        question: masked.
        what: `asked` of it.

    Examples:
        >>> question = "Ann has [a] pens and sells [b]. How many pens are left?"
        >>> plain_sentence(question, asked(question))
        'The answer is {=} pens.'
    """
    found = _MANY.findall(question)
    words = found[-1].lower().split() if found else []
    noun = "" if (place := _noun_at(words)) is None else " ".join(words[: place + 1])
    if what.sort == "percent":
        return f"The answer is {RESULT}%."
    sign = next((sign for sign in "$€£" if sign in question), "")
    if sign and what.sort == "money":
        return f"The answer is {sign}{RESULT}."
    if not noun:
        return f"The answer is {RESULT}."
    return f"The answer is {RESULT} {noun}."
