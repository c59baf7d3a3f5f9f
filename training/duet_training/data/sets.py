"""The data sets of arXiv 2605.01111: hub repository, columns and instruction of each.

The released code's instructions belong to data sets and not to the pair.
"""

from collections.abc import Iterable
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


@dataclass(frozen=True)
class HubSet:
    """A data set in the hub's layout."""

    repository: str
    """Name of the data set on the hub."""
    split: str
    """The hub's name of the split."""
    question: str
    """Column of the question."""
    answer: str
    """Column of the answer, or `boxed:COLUMN` to extract the boxed answer from a column."""
    config: str | None = None
    """The hub's name of the configuration; None: the set has only one."""
    training: bool = True
    """Whether models may be trained on it."""
    wrong_answers: tuple[str, ...] = ()
    """Columns of the wrong choices of a multiple-choice question."""
    asks: Asks = BOTH
    """The instruction of the released code."""
    runs: int = 1
    """Samples of each question in an evaluation; more where a set has few questions."""

    @property
    def released_verifier(self) -> str:
        """The verifier that reads answers to the released code's instruction."""
        return "letter" if self.wrong_answers else "released"


def default_runs(sources: Iterable[str]) -> int:
    """Return the samples of each question for problems of these sets.

    Examples:
        >>> default_runs(["aime24"]), default_runs(["math500", "mine"])
        (16, 1)
    """
    return max((SETS[name].runs for name in sources if name in SETS), default=1)


SETS: dict[str, HubSet] = {
    "math-lighteval": HubSet(
        "DigitalLearningGmbH/MATH-lighteval", "train", "problem", "boxed:solution"
    ),
    "deepscaler": HubSet(
        "agentica-org/DeepScaleR-Preview-Dataset", "train", "problem", "answer", asks=BARE
    ),
    "dapo-math-17k": HubSet(
        "open-r1/DAPO-Math-17k-Processed", "train", "prompt", "solution", config="en", asks=BARE
    ),
    "limo": HubSet("GAIR/LIMO-v2", "train", "question", "answer", asks=BARE),
    "math500": HubSet("HuggingFaceH4/MATH-500", "test", "problem", "answer", training=False),
    "amc23": HubSet("math-ai/amc23", "test", "question", "answer", training=False, runs=16),
    "aime24": HubSet(
        "Maxwell-Jia/AIME_2024", "train", "Problem", "Answer", training=False, runs=16
    ),
    "aime25": HubSet("math-ai/aime25", "test", "problem", "answer", training=False, runs=16),
    "gpqa-diamond": HubSet(
        "Idavidrein/gpqa",
        "train",
        "Question",
        "Correct Answer",
        config="gpqa_diamond",
        training=False,
        wrong_answers=("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
        asks=LETTER,
    ),
}
