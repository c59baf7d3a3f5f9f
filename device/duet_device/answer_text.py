"""Finishes the answer's text: the one place where tokens become what the user reads."""

import codecs
from dataclasses import replace
from typing import TYPE_CHECKING

from duet_contract.quantities import ComputedAnswer, answer_of, mask
from duet_device.question import Question

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


class AnswerWriter:
    """Turns answer tokens into text, and restores what was redacted in the question.

    Args:
        decoder: spells its tokens.
        question: its redaction holds the values to restore; None restores nothing.
    """

    def __init__(self, decoder: "Decoder", question: Question | None) -> None:
        self._decoder = decoder
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        redaction = question.redaction if question else None
        self._restorer = redaction.restorer() if redaction else None
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._text)

    def feed(self, token: int) -> str:
        """Return the characters that a token completes; often none."""
        return self._add(self._utf8.decode(self._decoder.detokenize(token)))

    def finish(self) -> str:
        """Return the characters that were held back, after the last token."""
        return self._add(self._utf8.decode(b"", True), last=True)

    def _add(self, text: str, *, last: bool = False) -> str:
        if self._restorer:
            text = self._restorer.feed(text) + (self._restorer.finish() if last else "")
        self._text.append(text)
        return text


def computed_answer(
    question: Question, signal: str | None, sentence: str, *, cut: bool = False
) -> ComputedAnswer:
    """Build the answer of a pair that computes, and restore what was redacted in the question.

    Args:
        question: masked (`Question.for_pair`).
        signal: the cloud's formula; None if the decoder answers alone.
        sentence: the decoder's text, with formulas in braces.
        cut: whether the signal ended at its budget.
    """
    masked = question.masked or mask(question.sent)
    found = answer_of(masked, signal, sentence, cut=cut)
    return (
        replace(found, text=question.redaction.restore(found.text)) if question.redaction else found
    )
