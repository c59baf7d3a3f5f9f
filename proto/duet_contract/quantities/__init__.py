"""Private quantities: the device masks numbers, the reasoner sends a formula, the device computes.

`mask` turns a question into text without numbers and the quantities that stay on the device;
`compute` gives the exact value of a formula over them; `check` says what is suspicious about it;
`fill` completes the decoder's sentence.
"""

from duet_contract.quantities.checks import Checks, check
from duet_contract.quantities.computing import Value, Work, compute
from duet_contract.quantities.masking import Masked, Quantity, fill_labels, mask, unmask
from duet_contract.quantities.rounding import Asked, asked, plain, written
from duet_contract.quantities.sentences import fill

__all__ = [
    "Asked",
    "Checks",
    "Masked",
    "Quantity",
    "Value",
    "Work",
    "asked",
    "check",
    "compute",
    "fill",
    "fill_labels",
    "mask",
    "plain",
    "unmask",
    "written",
]
