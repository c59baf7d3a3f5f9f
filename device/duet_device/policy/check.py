"""What a checker sees, and what it says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answered:
    """An answer, as a checker sees it.

    Examples:
        >>> answered = Answered("What is 3*4?", "3*4=12", whole=True, answer="12")
        >>> answered.answer in answered.signal
        True
    """

    question: str
    """The question as the decoder read it."""
    signal: str
    """The signal's text; empty if the device answered alone."""
    whole: bool
    """Whether the reasoner ended the signal; the last of its steps may be missing otherwise."""
    answer: str
    """The answer's text."""
    self_contained: bool = True
    """Whether the decoder read nothing else, such as private documents or earlier turns."""


@dataclass(frozen=True)
class Check:
    """One thing that a checker looked at.

    Examples:
        >>> checks = Check(holds=True), Check(holds=False, doubt="3*4=13 does not hold")
        >>> [check.doubt for check in checks if not check.holds]
        ['3*4=13 does not hold']
    """

    holds: bool
    """Whether it is as it should be."""
    doubt: str = ""
    """Why to doubt the answer if it is not, as a phrase; empty if that alone does not count."""
