"""Map what gRPC raises to the device's own errors; the only file that reads gRPC statuses."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status  # type: ignore[import-untyped]

from duet_contract.terminal import one_line
from duet_device.errors import (
    BrokenSignal,
    CloudBusy,
    CloudRefused,
    CloudUnreachable,
    DeadlineExceeded,
    DeviceError,
    PairMismatch,
    SignalLate,
)

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

PAIR_MISMATCH = "PAIR_MISMATCH"
# Longest wait that the cloud may ask for, in seconds; longer ones are ignored.
_MOST_WAIT = 86_400.0
# Longest message from the cloud, in characters.
_MOST_SAID = 400
# How gRPC names its limits on messages and metadata, and that this end raised the error: only clouds
# could compress messages.
_TOO_LARGE = re.compile(r"message larger than max|metadata size exceeds")
_RAISED_HERE = re.compile(r"CLIENT:|Stream removed|Decompressed")
_NOT_READ = "Exception deserializing response!"
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}@\d+\.\d+\.\d+")
_Detail = TypeVar("_Detail", bound=Message)

_REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT: "the cloud refused the question",
    grpc.StatusCode.OUT_OF_RANGE: "the cloud refused the question",
    grpc.StatusCode.NOT_FOUND: "the cloud refused the question",
    grpc.StatusCode.ALREADY_EXISTS: "the cloud refused the question",
    grpc.StatusCode.FAILED_PRECONDITION: "the cloud refused the question",
    grpc.StatusCode.UNAUTHENTICATED: "the cloud does not know this device",
    grpc.StatusCode.PERMISSION_DENIED: "the cloud does not let this device ask",
    grpc.StatusCode.UNIMPLEMENTED: "that server is not a DUET cloud, or is of another version",
}

# What every server would say of the same question.
_WRONG = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)


class Kind(Enum):
    """What happened to a call."""

    UNREACHED = auto()
    """There was no connection, so nothing was sent."""
    LOST = auto()
    """The link broke before the signal ended."""
    FAILED = auto()
    """The server ended the call before the signal ended, and did not say that it is away."""
    BUSY = auto()
    """The server is at capacity, or the quota is exhausted."""
    UNAVAILABLE = auto()
    """The server is stopping or starting, as it says."""
    REFUSED = auto()
    """This server will not serve the question."""
    WRONG = auto()
    """No server will: the question itself is refused."""


@dataclass(frozen=True)
class Failure:
    """A call that failed."""

    kind: Kind
    """What happened."""
    error: DeviceError
    """The error, if nothing else can be done."""
    wait: float | None = None
    """The server's retry delay in seconds; None if it names none."""


def device_error(error: grpc.RpcError, server: str) -> DeviceError:
    """Return the device's error for a failed call to `server`."""
    assert isinstance(error, grpc.Call)
    code, text = error.code(), _said(error.details())
    status = _status(error)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(text):
        # gRPC's own limits, which neither place nor time would change.
        if "SERVER:" in text or not _RAISED_HERE.search(text):
            return CloudRefused(f"the request is larger than the cloud at {server} takes: {text}")
        return BrokenSignal(f"the cloud at {server} sent more than a device takes: {text}")
    if code == grpc.StatusCode.INTERNAL and text.startswith(_NOT_READ):
        return BrokenSignal(f"the cloud at {server} sent what is not a message")
    if code == grpc.StatusCode.CANCELLED and text.startswith("Channel closed"):
        return CloudUnreachable(f"the channel to {server} was closed")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and (quota := _quota(status)):
        # This device's own quota is exhausted; waiting for others would not help.
        return CloudBusy(f"the cloud at {server} refused: {quota}", _retry_after(status))
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return CloudBusy(f"the cloud at {server} is at capacity: {text}", _retry_after(status))
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("the cloud did not finish within the time given (--timeout)")
    if code == grpc.StatusCode.FAILED_PRECONDITION and _reason(status) == PAIR_MISMATCH:
        return PairMismatch(
            f"the cloud at {server} serves another pair: {text}{_offer(status, server)}"
        )
    if code in _REFUSALS:
        return CloudRefused(f"{_REFUSALS[code]}: {_violations(status) or text or code.name}")
    if code == grpc.StatusCode.UNAVAILABLE:
        if problem := _tls_problem(text):
            return CloudUnreachable(f"no trusted cloud at {server}: {problem}")
        if was_accepted(error):
            # What a server with identities does to plaintext.
            return CloudUnreachable(
                f"no cloud at {server}: it closed the connection; if it asks for an identity: "
                "duet-device enroll HOST:PORT CODE"
            )
        # gRPC lists every address that it tried; why the last one failed is the useful part.
        return CloudUnreachable(f"no cloud at {server}: {text.rsplit('remote host: ', 1)[-1]}")
    return CloudUnreachable(f"the cloud at {server} failed: {text or code.name} ({code.name})")


def was_accepted(error: grpc.RpcError) -> bool:
    """Return whether a server accepted the connection of a failed call, and closed it at once."""
    assert isinstance(error, grpc.Call)
    text = error.details() or ""
    # Which of the three is chance; what refuses a connection, or leads nowhere, has other words.
    ends = ("Socket closed", "reset by peer", "Broken pipe")
    return "failed to connect" in text and any(end in text for end in ends)


def failure_of(error: grpc.RpcError, server: str) -> Failure:
    """Return what happened to a call to `server` that was connected."""
    assert isinstance(error, grpc.Call)
    code, failure, wait = error.code(), device_error(error, server), retry_after(error)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        # So says the server, or a proxy before it; the device's own time may not be over.
        return Failure(Kind.FAILED, SignalLate(str(failure)))
    if isinstance(failure, CloudBusy):
        return Failure(Kind.BUSY, failure, wait)
    if code == grpc.StatusCode.UNAVAILABLE and wait is not None:
        return Failure(Kind.UNAVAILABLE, failure, wait)
    if code in _WRONG:
        return Failure(Kind.WRONG, failure)
    if isinstance(failure, (CloudRefused, PairMismatch, BrokenSignal)):
        return Failure(Kind.REFUSED, failure)
    return Failure(Kind.LOST if code == grpc.StatusCode.UNAVAILABLE else Kind.FAILED, failure)


def _tls_problem(text: str) -> str:
    """Return why the TLS handshake failed, in words; empty for any other failure."""
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate signature failure" in text:
        return "its certificate is not one of the authority that this device enrolled with"
    if "Hostname Verification" in text:
        return "its certificate is for other names (duet-cloud admin rotate --host)"
    if "handshake failed" in text:
        return "it does not speak TLS 1.3 as a DUET cloud does"
    return ""


def retry_after(error: grpc.RpcError) -> float | None:
    """Return the cloud's retry delay in seconds; None if the cloud names no delay."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    return _retry_after(_status(error))


def _status(call: grpc.Call | grpc.aio.AioRpcError) -> "Status | None":
    try:
        return rpc_status.from_call(call)
    except (ValueError, DecodeError):
        # Ignore details that contradict the status or are not a google.rpc.Status.
        return None


def _detail(status: "Status | None", kind: type[_Detail]) -> _Detail | None:
    for packed in status.details if status else ():
        detail = kind()
        try:
            if packed.Is(kind.DESCRIPTOR) and packed.Unpack(detail):
                return detail
        except DecodeError:
            continue
    return None


def _said(text: str | None) -> str:
    """Return what the cloud said, escaped, as much of it as one line holds.

    Here, since programs print an error without a thought of terminals.
    """
    line = one_line((text or "").strip())
    return line if len(line) <= _MOST_SAID else f"{line[:_MOST_SAID]}..."


def _retry_after(status: "Status | None") -> float | None:
    info = _detail(status, error_details_pb2.RetryInfo)
    if info is None:
        return None
    seconds = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return seconds if 0 <= seconds <= _MOST_WAIT else None


def _reason(status: "Status | None") -> str:
    info = _detail(status, error_details_pb2.ErrorInfo)
    return info.reason if info else ""


def _quota(status: "Status | None") -> str:
    failure = _detail(status, error_details_pb2.QuotaFailure)
    return _said("; ".join(fault.description for fault in failure.violations)) if failure else ""


def _offer(status: "Status | None", server: str) -> str:
    """Return how to get a decoder for the reasoner; "" if the cloud does not name one."""
    info = _detail(status, error_details_pb2.ErrorInfo)
    if info is None:
        return ""
    # What is offered as a command must not hold anything else than a name.
    served = [name for name in info.metadata["cloud"].split(",") if _REFERENCE.fullmatch(name)]
    own = info.metadata["device"].partition("@")[0]
    served.sort(key=lambda name: name.partition("@")[0] != own)
    if not served:
        return ""
    return f"; fetch its decoder with: duet-device pull {served[0]} --server {server}"


def _violations(status: "Status | None") -> str:
    request = _detail(status, error_details_pb2.BadRequest)
    if request is None:
        return ""
    return _said("; ".join(fault.description for fault in request.field_violations))
