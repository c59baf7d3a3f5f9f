"""Compare the answer with the last result that the signal computed.

A decoder may read a right signal ("4*1.50=6.") and answer something else. Where the signal ends in
an equation and the answer is a number, the two must agree; the receipt marks an answer that does
not. Other answers and signals (an expression, a fraction, a percentage, prose) are not compared.
"""

import re
from decimal import Decimal

_NUMBER = r"-?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?"
# A number that an expression does not continue: "= 3*4", "= 3/4", "= 1,2", "= 25%" do not count.
_RESULT = re.compile(rf"\s*\$?\s*({_NUMBER})(?!\d|[.,]\d|\s*[-+*/^%=×·÷(\\])")  # noqa: RUF001
_NUMBERS = re.compile(rf"(?<![\d.,]){_NUMBER}")
_BOXED = re.compile(rf"\s*\{{\s*\$?\s*({_NUMBER})\.?\s*\}}")


def agrees(signal: str, answer: str) -> bool | None:
    r"""Return whether the answer gives the number of the signal's last equation.

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
        numbers = _NUMBERS.findall(answer)
    values = {Decimal(number.replace(",", "")) for number in numbers}
    return Decimal(result[1].replace(",", "")) in values if values else None
