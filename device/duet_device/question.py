"""A question with what goes beside it, and the part of it that is sent."""

import uuid
from dataclasses import dataclass, replace

from duet_contract.errors import PromptError
from duet_contract.manifest import Manifest
from duet_contract.prompts import MOST_BYTES_PER_TOKEN, check_text
from duet_contract.quantities import Masked, mask
from duet_contract.sampling import MOST_SEED, TEMPERATURE_RULE, valid_temperature
from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
)
from duet_device.errors import UsageProblem
from duet_device.privacy.context import Context
from duet_device.privacy.redaction import Redaction
from duet_device.settings import MOST_TIMEOUT, Settings


@dataclass(frozen=True)
class Question:
    """What the user asks."""

    text: str
    """As typed."""
    context: Context = ()
    """Private material for the decoder; nothing of it is ever sent."""
    redaction: Redaction | None = None
    """What replaces parts of the text before it is sent."""
    masked: Masked | None = None
    """The text, after redaction, without its numbers; None if the pair reads numbers."""

    @property
    def sent(self) -> str:
        """The question as it leaves the device."""
        if self.masked:
            return self.masked.text
        return self.redaction.text if self.redaction else self.text

    def for_pair(self, manifest: Manifest) -> "Question":
        """The question as this pair reads it: masked if its quantities are private."""
        if manifest.quantities != "private":
            return replace(self, masked=None)
        text = self.redaction.text if self.redaction else self.text
        kept = self.redaction.originals if self.redaction else ()
        return replace(self, masked=mask(text, kept))


def check_question(question: Question, manifest: Manifest, settings: Settings) -> None:
    """Refuses what cannot be asked, before anything is loaded or sent.

    Raises:
        UsageProblem: the question is empty, malformed or too long, the context too long, or the
            budget, a timeout, the temperature or the seed out of range.
    """
    try:
        check_text(question.text, "question")
    except PromptError as error:
        raise UsageProblem(str(error)) from error
    limits = manifest.limits
    size, most = len(question.sent.encode("utf-8")), MOST_BYTES_PER_TOKEN * limits.question
    if size > most:
        raise UsageProblem(
            f"the question has {size} bytes, at most {most} "
            f"({limits.question} tokens) fit this pair"
        )
    window = manifest.decoder.context
    size = sum(len(document.text.encode("utf-8")) for document in question.context)
    if size > MOST_BYTES_PER_TOKEN * window:
        raise UsageProblem(
            f"the context has {size} bytes, far more than the decoder's window of {window} tokens "
            "holds: give less"
        )
    if settings.budget is not None and not 1 <= settings.budget <= limits.budget:
        raise UsageProblem(
            f"a budget of {settings.budget} is not possible: this pair takes 1 to {limits.budget}"
        )
    for name in ("timeout", "connect_timeout"):
        # Written so that it refuses what is no number, too.
        if not 0 < (seconds := getattr(settings, name)) <= MOST_TIMEOUT:
            option = "--" + name.replace("_", "-")
            raise UsageProblem(
                f"{option} is {seconds:g}: give seconds, more than 0 and at most {MOST_TIMEOUT:.0f}"
            )
    temperature = settings.temperature
    if temperature is not None and not valid_temperature(temperature):
        raise UsageProblem(f"--temperature is {temperature:g}: {TEMPERATURE_RULE}")
    if settings.seed is not None and not 0 <= settings.seed <= MOST_SEED:
        raise UsageProblem(f"--seed is {settings.seed}: give 0 to {MOST_SEED}")
    if settings.device_only and settings.require_cloud:
        raise UsageProblem("--device-only and --require-cloud contradict each other")


def build_request(question: str, manifest: Manifest, settings: Settings) -> ReasonRequest:
    """The request for a question's signal, with a request id of its own.

    Args:
        question: `Question.sent`: this, and nothing else of a question, leaves the device.
        manifest: the pair's.
        settings: budget, temperature and seed.
    """
    encodings = [SIGNAL_ENCODING_TEXT]
    if manifest.shared_vocabulary:
        encodings.insert(0, SIGNAL_ENCODING_TOKEN_IDS)
    return ReasonRequest(
        question=question,
        budget=settings.budget,
        encodings=encodings,
        vocabulary=bytes.fromhex(manifest.decoder.vocabulary.sha256),
        request_id=uuid.uuid4().hex,
        pair=manifest.reference,
        temperature=settings.temperature,
        seed=settings.seed,
    )


def asked_again(request: ReasonRequest) -> ReasonRequest:
    """The same request under an id of its own."""
    again = ReasonRequest()
    again.CopyFrom(request)
    again.request_id = uuid.uuid4().hex
    return again
