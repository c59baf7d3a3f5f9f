"""Measurements of one question in one condition."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict

from duet_device.errors import (
    CloudBusy,
    CloudRefused,
    CloudUnreachable,
    DeadlineExceeded,
    DeviceError,
    PairMismatch,
)
from duet_tools.results.conditions import RENAMED

OK = "ok"
UNREACHABLE = "unreachable"
_KINDS: tuple[tuple[type[DeviceError], str], ...] = (
    (CloudBusy, "busy"),
    (CloudRefused, "refused"),
    (CloudUnreachable, UNREACHABLE),
    (DeadlineExceeded, "deadline"),
    (PairMismatch, "other-pair"),
)


class Record(BaseModel):
    """One question in one condition.

    Milliseconds count from when it was asked, durations aside; None: did not happen.
    """

    model_config = ConfigDict(extra="forbid")

    condition: Annotated[str, RENAMED] = ""
    """Id of the condition."""
    id: str = ""
    """Id of the question in the data."""
    index: int = 0
    """Number of the question in the condition, from 0."""
    status: str = OK
    """`ok`, or one of `busy`, `refused`, `unreachable`, `deadline`, `other-pair`, `failed`."""
    message: str = ""
    """Description of the failure."""
    at_s: float = 0.0
    """When it was asked, in seconds from the condition's start."""
    signal: str = ""
    """Text of the signal, or the reasoning of the large model alone."""
    answer: str = ""
    """Text of the answer."""
    value: str | None = None
    """The final answer of a pair that computes; None of other pairs, whose text is judged."""
    numbers_sent: int | None = None
    """Numbers in what left the device for the question; None in modes without a device."""
    finish: str = ""
    """How the answer ended, as in a receipt."""
    correct: bool | None = None
    """Whether the answer is right; None without a reference."""
    low_confidence: bool | None = None
    """Whether the device marked the answer; None without a decoder, or if the pair has neither a
    threshold nor computed answers."""
    device: Literal["live", "replayed"] | None = None
    """`live`: the device answered while the cloud worked; `replayed`: later, from a recording."""
    question_tokens: int = 0
    """Tokens of the question."""
    signal_tokens: int = 0
    """Tokens of the signal, by either model."""
    answer_tokens: int = 0
    """Tokens of the answer, by either model."""
    large_tokens: int = 0
    """Tokens that the large model generated."""
    app_up: int = 0
    """Bytes of messages to the cloud."""
    app_down: int = 0
    """Bytes of messages to the device."""
    wire_up: int = 0
    """Bytes that TCP carried to the cloud, TLS and handshakes included."""
    wire_down: int = 0
    """Bytes that TCP carried to the device, TLS and handshakes included."""
    connect_ms: float | None = None
    """When the link was open."""
    prefix_ms: float | None = None
    """When the prompt before the signal was evaluated."""
    first_signal_ms: float | None = None
    """When the first token of the signal arrived."""
    signal_ms: float | None = None
    """When the last token of the signal arrived."""
    first_answer_ms: float | None = None
    """When the first token of the answer was there."""
    total_ms: float | None = None
    """When the answer was complete."""
    queue_ms: float | None = None
    """Duration in the cloud's queue, by the cloud's clock."""
    prefill_ms: float | None = None
    """Duration of the cloud's prefill, by the cloud's clock."""
    decode_ms: float | None = None
    """Duration of the cloud's decoding, by the cloud's clock."""
    late_ms: float | None = None
    """Wait for the first answer token if the whole signal is evaluated only at its end."""
    saved_ms: float | None = None
    """`late_ms` less the actual wait."""
    cloud_step_ms: float | None = None
    """Time per output token of the cloud after the first."""
    device_step_ms: float | None = None
    """Time per output token of the device after the first."""
    cloud_s: float | None = None
    """Seconds of prefill and decode, by the cloud's clock.

    Without the cloud's times: the time that the link leaves (`duet_tools.split.modes.openai`).
    """
    flops: float = 0.0
    """Of the large model: 2 x parameters x tokens."""
    asked_again: int = 0
    """Retries after a full cloud refused the question."""

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.status == OK


def failed(error: DeviceError) -> Record:
    """Return the record of a question that was not answered."""
    kind = next((name for type_, name in _KINDS if isinstance(error, type_)), "failed")
    return Record(status=kind, message=str(error))


def per_step(first_ms: float | None, last_ms: float | None, tokens: int) -> float | None:
    """Return the milliseconds per token after the first; None without a second token."""
    if first_ms is None or last_ms is None or tokens < 2:
        return None
    return (last_ms - first_ms) / (tokens - 1)
