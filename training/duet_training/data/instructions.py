"""The instructions of the released code, which belong to data sets and not to the pair."""

from dataclasses import dataclass

QUESTION = "QUESTION"
"""Where the question goes in `Asks`."""


@dataclass(frozen=True)
class Asks:
    """How a data set's questions are put to both models; `QUESTION` is the question."""

    reasoner: str
    """What the reasoner reads."""
    decoder: str
    """What the decoder reads."""


_THINK = f"{QUESTION} Let's think step by step and output the final answer within \\boxed{{}}."
_LETTER = (
    "Answer the following multiple choice question. The last line of your response should be of "
    "the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think "
    f"step by step before answering.\n\n{QUESTION}"
)
# Both models read the instruction; or the decoder reads the bare question.
BOTH, BARE, LETTER = Asks(_THINK, _THINK), Asks(_THINK, QUESTION), Asks(_LETTER, _LETTER)
