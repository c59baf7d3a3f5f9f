"""One way to read and judge an answer: numbers, choices, expressions and text."""

from duet_contract.answers.boxed import last_boxed
from duet_contract.answers.expressions import Comparison
from duet_contract.answers.final import FinalAnswer, final_answer
from duet_contract.answers.judge import decide, is_right
from duet_contract.answers.reference import ReferenceKind

__all__ = [
    "Comparison",
    "FinalAnswer",
    "ReferenceKind",
    "decide",
    "final_answer",
    "is_right",
    "last_boxed",
]
