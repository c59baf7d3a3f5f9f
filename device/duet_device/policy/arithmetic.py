"""Check the arithmetic of an answer: equations that hold, and numbers that come from somewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from duet_contract.answers import final_answer
from duet_contract.answers.arithmetic import evaluate
from duet_contract.answers.plain import plain
from duet_contract.quantities import mask
from duet_device.policy.check import Answered, Check

# A signal is far shorter; of a longer one, the end.
_MOST_TEXT = 4_000
# What is before it in a text that was cut is a part of a sentence, and not judged.
_SENTENCE_END = re.compile(r"\n|[.;] ")
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+"
_SIGN = "[-+*·×/÷^]"  # noqa: RUF001
# An expression of numbers with one sign at least. What is before it must not continue it to the left.
_EXPRESSION = rf"[-(]*(?:{_NUMBER})\)*(?:[ \t]*{_SIGN}[ \t]*[-(]*(?:{_NUMBER})\)*)+"
_EQUATION = re.compile(
    rf"(?:^|(?<=[\s;:,.=<>$€£≈]))({_EXPRESSION})[ \t]*[=≈][ \t]*[$€£]?[ \t]*"
    rf"(-?(?:{_NUMBER}))((?:[ \t]*{_SIGN}[ \t]*[-(]*(?:{_NUMBER})\)*)*)(?!\d)(?![ \t]*[%°!])",
    re.MULTILINE,
)
_CONTINUED = re.compile(rf"[\w)%][ \t]*{_SIGN}?[ \t]*$|{_SIGN}[ \t]*$")
_BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]+", re.MULTILINE)
_NUMBERS = re.compile(rf"(?<![\w.,])(?:{_NUMBER})(?![\w]|[.,]\d)")
_SIGNED = r"-?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?"
# A number that an expression does not continue: "= 3*4", "= 3/4", "= 1,2", "= 25%" do not count.
_RESULT = re.compile(rf"\s*\$?\s*({_SIGNED})(?!\d|[.,]\d|\s*[-+*/^%=×·÷(\\])")  # noqa: RUF001
_ANSWERED = re.compile(rf"(?<![\d.,]){_SIGNED}")
_BOXED = re.compile(rf"\s*\{{\s*\$?\s*({_SIGNED})\.?\s*\}}")
# Numbers that solutions use without a question naming them: of parts, days, hours, percent.
_COMMON = frozenset(
    map(
        Fraction,
        ("0.25", "0.5", *map(str, (1, 2, 3, 4, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000))),
    )
)


@dataclass(frozen=True)
class Equation:
    """An equation of a text, whose left side is an expression of numbers."""

    text: str
    """As written."""
    left: Fraction
    """Value of the left side."""
    right: str
    """The number after the sign of equality."""
    rest: str
    """What continues it to an expression; often empty."""
    terms: tuple[Fraction, ...]
    """Numbers of the left side."""

    @property
    def result(self) -> Fraction:
        """The number after the sign of equality."""
        return _fraction(self.right)

    @property
    def holds(self) -> bool:
        """Whether both sides are equal, as far as the decimals of the right one go.

        Of "3*4=12+5" either side of the plus counts: people calculate on behind a result.
        """
        if self.rest and evaluate(self.right + self.rest) == self.left:
            return True
        decimals = len(self.right.partition(".")[2])
        error = abs(self.left - self.result)
        return error <= Fraction(1, 2 * 10**decimals) if decimals else not error


def equations(text: str) -> list[Equation]:
    """Return the equations of a text that compute something.

    Examples:
        >>> [(each.text, each.holds) for each in equations("so 3*4=12; 12 + 5 = 18, x+2=4, 1/4=2/8")]
        [('3*4=12', True), ('12 + 5 = 18', False), ('1/4=2/8', True)]
    """
    text = _BULLET.sub("", text)
    found = []
    for match in _EQUATION.finditer(text):
        before = text[: match.start()].rsplit("\n", 1)[-1]
        value = evaluate(match[1])
        if value is None or (before and _CONTINUED.search(before[-20:]) and not _is_word(before)):
            continue
        terms = tuple(_fraction(number) for number in re.findall(_NUMBER, match[1]))
        found.append(Equation(match[0], value, match[2], match[3], terms))
    return found


def check_arithmetic(answered: Answered) -> Iterator[Check]:
    """Check equations of the signal, its last result, and where numbers come from."""
    text, self_contained = answered.signal, answered.self_contained
    if len(text) > _MOST_TEXT:
        text = _SENTENCE_END.split(text[-_MOST_TEXT:], maxsplit=1)[-1]
        # Numbers may come from the part that is left out.
        self_contained = False
    text = plain(text, _MOST_TEXT) or text
    found = equations(text)
    known = _known(answered.question)
    for equation in found:
        yield Check(equation.holds, f"{equation.text.strip()} does not hold")
        if self_contained:
            yield Check(all(term in known for term in equation.terms))
        known |= _forms(equation.result)
    # What a cut signal computed last need not be its result.
    if not answered.whole:
        return
    if (same := agrees(answered.signal, answered.answer)) is not None:
        yield Check(same, "the answer is not the signal's last result")
    elif self_contained and (number := _stated(answered.answer)) is not None:
        said = {_fraction(each) for each in _NUMBERS.findall(text)}
        if said:
            yield Check(
                number in said | known, "the answer's number is in neither question nor signal"
            )


def agrees(signal: str, answer: str) -> bool | None:
    r"""Return whether the answer gives the number of the signal's last equation.

    A decoder may read a right signal ("4*1.50=6.") and answer something else. Other answers and
    signals (an expression, a fraction, a percentage, prose) are not compared.

    Args:
        signal: whole; one that was cut may end in an equation that is not the last.
        answer: its last `\boxed{}` counts, and all of its numbers where it has none.

    Returns:
        None where there is nothing to compare.

    Examples:
        >>> agrees("4*1.50=6.", r"\boxed{56}"), agrees("4*1.50=6.", r"\boxed{6}")
        (False, True)
        >>> agrees("add both", r"\boxed{6}") is None
        True
    """
    _, equals, end = signal.rpartition("=")
    result = _RESULT.match(end) if equals else None
    if not result:
        return None
    _, box, content = answer.rpartition(r"\boxed")
    if box:
        whole = _BOXED.match(content)
        numbers = [whole[1]] if whole else []
    else:
        numbers = _ANSWERED.findall(answer)
    values = {Decimal(number.replace(",", "")) for number in numbers}
    return Decimal(result[1].replace(",", "")) in values if values else None


def _is_word(before: str) -> bool:
    """Return whether a text ends in a word, as "so" before an expression, and a space."""
    return bool(re.search(r"(?:^|[\s(])[^\W\d_]{2,}[ \t]+$", before))


def _stated(answer: str) -> Fraction | None:
    final = final_answer(answer)
    return final.value if final else None


def _known(question: str) -> set[Fraction]:
    values = [each.value for each in mask(question).quantities if each.value is not None]
    values += map(_fraction, _NUMBERS.findall(question))
    return set(_COMMON).union(*map(_forms, values))


def _forms(value: Fraction) -> set[Fraction]:
    """Return a number as it may be written in a later step: as a percentage, or without its sign."""
    return {value, abs(value), value / 100, value * 100}


def _fraction(number: str) -> Fraction:
    return Fraction(number.replace(",", ""))
