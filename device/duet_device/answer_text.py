"""Finishes the answer's text: the one place where tokens become what the user reads."""

import codecs
from typing import TYPE_CHECKING

from duet_device.question import Question

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


class AnswerWriter:
    """Turns answer tokens into text, and restores what was redacted in the question.

    Args:
        decoder: spells its tokens.
        question: its redaction holds the values to restore.
    """

    def __init__(self, decoder: "Decoder", question: Question) -> None:
        self._decoder = decoder
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._restorer = question.redaction.restorer() if question.redaction else None
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
