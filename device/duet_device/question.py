"""Define a question with its context and redaction, and build the request that is sent."""

import uuid
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from duet_contract.errors import PromptError
from duet_contract.manifest import Manifest
from duet_contract.prompts import MOST_BYTES_PER_TOKEN, check_question
from duet_contract.quantities import Masked, mask
from duet_contract.quantities.notes import facts, needed, with_facts
from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
)
from duet_device.errors import UsageProblem
from duet_device.privacy.context import Context
from duet_device.privacy.redaction import Redaction
from duet_device.settings import Settings
from duet_device.turns import Turn

if TYPE_CHECKING:
    from duet_device.history.store import StoredSignal


MOST_NOTE_BYTES = 1 << 20
"""Maximum bytes of notes, which are searched for each question."""


@dataclass(frozen=True)
class Question:
    """What the user asks.

    Raises:
        UsageProblem: the text is empty or malformed.

    Examples:
        >>> Question("What is 12 plus 30?").sent
        'What is 12 plus 30?'
    """

    text: str
    """The question as typed."""
    context: Context = ()
    """Private documents for the decoder; nothing of them is ever sent."""
    redaction: Redaction | None = None
    """Replaces parts of the text before it is sent."""
    signal: "StoredSignal | None" = None
    """A signal that the same question had before; no connection is opened then."""
    masked: Masked | None = None
    """All that is sent, without its numbers; None if the pair reads numbers."""
    shared: str = ""
    """Earlier turns of a conversation, redacted, that are sent before the question."""
    earlier: tuple[Turn, ...] | None = None
    """Earlier turns that the decoder reads; None outside conversations."""
    notes: Context = ()
    """Documents with quantities. The lines that the question names are sent without numbers."""

    def __post_init__(self) -> None:
        try:
            check_question(self.text)
        except PromptError as error:
            raise UsageProblem(str(error)) from error
        size = sum(len(note.text.encode("utf-8")) for note in self.notes)
        if size > MOST_NOTE_BYTES:
            raise UsageProblem(f"the notes have {size} bytes, at most {MOST_NOTE_BYTES} are read")

    @cached_property
    def whole(self) -> str:
        """The question after the facts that it needs from the notes; this is what is redacted."""
        known = [fact for note in self.notes for fact in facts(note.text)]
        return with_facts(self.text, needed(self.text, known))

    @property
    def sent(self) -> str:
        """The question as it leaves the device: all of it that a request holds."""
        if self.masked:
            return self.masked.text
        return self._with_shared(self.redaction.text if self.redaction else self.text)

    @property
    def asked(self) -> str:
        """The question as the decoder reads it."""
        if self.masked:
            return self.masked.text
        return self.redaction.text if self.redaction else self.text

    def for_pair(self, manifest: Manifest) -> "Question":
        """Return the question as a pair reads it: masked if the pair's quantities are private."""
        if manifest.quantities != "private":
            return replace(self, masked=None)
        kept = self.redaction.originals if self.redaction else ()
        whole = self.redaction.text if self.redaction else self.whole
        masked = mask(self._with_shared(whole), kept)
        if self.notes:
            own = self.redaction.apply(self.text) if self.redaction else self.text
            count = len(masked.quantities) - len(mask(self._with_shared(own), kept).quantities)
            masked = replace(masked, from_notes=max(0, count))
        return replace(self, masked=masked)

    def _with_shared(self, text: str) -> str:
        return f"{self.shared}Question: {text}" if self.shared else text

    def check_size(self, manifest: Manifest) -> None:
        """Refuse a question that cannot fit a pair, before anything is loaded or sent.

        Raises:
            UsageProblem: the question or its context is too long; the pair reads no context, or no
                notes; or no line of the notes fits the question.
        """
        if self.notes and manifest.quantities != "private":
            raise UsageProblem(
                f"{manifest.id} sends the numbers that it computes with: give the file with "
                "--context, which is never sent, or use a pair with private quantities"
            )
        if self.notes and self.whole == self.text:
            raise UsageProblem(
                "no line of the notes has a number and a word of the question: name things as the "
                "notes do"
            )
        if manifest.quantities == "private" and self.context:
            raise UsageProblem(
                f"{manifest.id} computes with the numbers of the question and of --notes: leave out "
                "--context, or use another --pair"
            )
        limits = manifest.limits
        size, most = len(self.sent.encode("utf-8")), MOST_BYTES_PER_TOKEN * limits.question
        if size > most:
            raise UsageProblem(
                f"the question has {size} bytes, at most {most} "
                f"({limits.question} tokens) fit this pair"
            )
        window = manifest.decoder.context
        size = sum(len(document.text.encode("utf-8")) for document in self.context)
        if size > MOST_BYTES_PER_TOKEN * window:
            raise UsageProblem(
                f"the context has {size} bytes, far more than the decoder's window of {window} "
                "tokens holds: give less"
            )


def build_request(
    question: Question | str, manifest: Manifest, settings: Settings
) -> ReasonRequest:
    """Build all that leaves the device for a question, with a request id of its own.

    Args:
        question: as typed, or with redaction. It is masked here if the pair's quantities are
            private, so that no caller can send them.
        manifest: the pair's.
        settings: budget, chunk size, temperature and seed.
    """
    encodings = [SIGNAL_ENCODING_TEXT]
    if manifest.shared_vocabulary:
        encodings.insert(0, SIGNAL_ENCODING_TOKEN_IDS)
    if isinstance(question, str):
        question = Question(question)
    return ReasonRequest(
        question=question.for_pair(manifest).sent,
        budget=settings.budget,
        chunk_tokens=settings.chunk_tokens,
        encodings=encodings,
        vocabulary=bytes.fromhex(manifest.decoder.vocabulary.sha256),
        request_id=uuid.uuid4().hex,
        pair=manifest.reference,
        temperature=settings.temperature,
        seed=settings.seed,
        # A formula is short, and the decoder's own probabilities say little of it.
        odds=manifest.answers == "computed",
    )
