"""What is measured of one question in one cell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from duet_device.errors import (
    CloudBusy,
    CloudRefused,
    CloudUnreachable,
    DeadlineExceeded,
    DeviceError,
    PairMismatch,
)

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
    """One question in one cell. Milliseconds count from when it was asked; None: did not happen.

    `status`: `ok`, or what failed: `busy`, `refused`, `unreachable`, `deadline`, `other-pair`,
    `failed`; `message` says more. `at_s`: when it was asked, from the cell's start.
    `signal`: its text, or the reasoning of the large model alone.
    `finish`: how the answer ended, as in a receipt. `correct`: None without a reference.
    `low_confidence`: whether the device marked the answer; None where no decoder answered, or the
    pair names no threshold.
    `signal_tokens`, `answer_tokens`: whoever generated them; `large_tokens`: by the large model.
    `app_*`: bytes of messages; `wire_*`: of everything that TCP carried, TLS and handshakes
    included. `connect_ms`: the link stood. `prefix_ms`: the prompt before the signal was evaluated.
    `first_signal_ms`, `signal_ms`: first and last token of the signal. `queue_ms`, `prefill_ms`,
    `decode_ms`: durations in the cloud, by its own clock. `late_ms`: how long the wait for the
    first answer token were, had the signal been evaluated once all of it was there. `saved_ms`:
    that, less the wait that there was. `*_step_ms`: time per output token behind the first, on
    either side. `cloud_s`: seconds of prefill and decode, by the cloud's clock or, where it does
    not tell, what its link leaves of the time (`duet_tools.split.link_time`). `flops`: of the large
    model, 2 x parameters x tokens. `device`: whether the device answered while the cloud worked
    (`live`) or afterwards, with the arrivals as they were recorded (`replayed`). `asked_again`:
    times that a full cloud was asked once more.
    """

    model_config = ConfigDict(extra="forbid")

    cell: str = ""
    id: str = ""
    index: int = 0
    status: str = OK
    message: str = ""
    at_s: float = 0.0
    signal: str = ""
    answer: str = ""
    finish: str = ""
    correct: bool | None = None
    low_confidence: bool | None = None
    device: Literal["live", "replayed"] | None = None
    question_tokens: int = 0
    signal_tokens: int = 0
    answer_tokens: int = 0
    large_tokens: int = 0
    app_up: int = 0
    app_down: int = 0
    wire_up: int = 0
    wire_down: int = 0
    connect_ms: float | None = None
    prefix_ms: float | None = None
    first_signal_ms: float | None = None
    signal_ms: float | None = None
    first_answer_ms: float | None = None
    total_ms: float | None = None
    queue_ms: float | None = None
    prefill_ms: float | None = None
    decode_ms: float | None = None
    late_ms: float | None = None
    saved_ms: float | None = None
    cloud_step_ms: float | None = None
    device_step_ms: float | None = None
    cloud_s: float | None = None
    flops: float = 0.0
    asked_again: int = 0

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.status == OK


@dataclass
class Asked:
    """A question that was asked. `later`: what is left to do for its answer once no load is on.

    `requests`: that it took over HTTP, on one connection; 0 over gRPC or no link.
    """

    record: Record
    later: Callable[[], None] | None = None
    requests: int = 0


def failed(error: DeviceError) -> Record:
    """Return the record of a question that was not answered."""
    kind = next((name for type_, name in _KINDS if isinstance(error, type_)), "failed")
    return Record(status=kind, message=str(error))


def per_step(first_ms: float | None, last_ms: float | None, tokens: int) -> float | None:
    """Return milliseconds a token behind the first; None where there is no second one."""
    if first_ms is None or last_ms is None or tokens < 2:
        return None
    return (last_ms - first_ms) / (tokens - 1)
