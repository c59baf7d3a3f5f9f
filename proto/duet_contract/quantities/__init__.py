"""Private quantities: the device masks numbers, the reasoner sends a formula, the device computes.

`mask` turns a question into text without numbers and the quantities that stay on the device.
`answer_of` makes the answer: `compute` gives the exact value of a formula, `check` says what is
suspicious about it, `fill` completes the decoder's sentence.
"""

from duet_contract.quantities.answers import OUT_OF_REACH, ComputedAnswer, answer_of
from duet_contract.quantities.checks import Checks, check, result_of
from duet_contract.quantities.computing import Value, Work, compute
from duet_contract.quantities.masking import Masked, Quantity, fill_labels, mask, unmask
from duet_contract.quantities.rounding import Asked, asked, asked_unit, plain, written
from duet_contract.quantities.sentences import asked_by, fill, plain_sentence

__all__ = [
    "OUT_OF_REACH",
    "Asked",
    "Checks",
    "ComputedAnswer",
    "Masked",
    "Quantity",
    "Value",
    "Work",
    "answer_of",
    "asked",
    "asked_by",
    "asked_unit",
    "check",
    "compute",
    "fill",
    "fill_labels",
    "mask",
    "plain",
    "plain_sentence",
    "result_of",
    "unmask",
    "written",
]
