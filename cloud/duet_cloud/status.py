"""gRPC statuses with google.rpc details, so that every refusal is machine-readable."""

from typing import NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from duet_cloud.end_call import Context as Context
from duet_cloud.end_call import end_call
from duet_cloud.errors import CloudError

DOMAIN = "duet"
# gRPC's name for the trailer that carries google.rpc.Status.
DETAILS_KEY = "grpc-status-details-bin"
# Databases come back by themselves or not at all: often enough, and no storm.
_DATABASE_RETRY_S = 5.0


class Refusal(CloudError):
    """A request that is refused: status code, one line, and google.rpc details.

    For logs and metrics: `reason`, one of few, the status in lower case unless given; `device`,
    the identity's name, "" if unknown.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *details: Message,
        reason: str = "",
        device: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = details
        self.reason = reason or code.name.lower()
        self.device = device

    async def abort(self, context: Context) -> NoReturn:
        """End the call with this status."""
        number: int = self.code.value[0]
        status = status_pb2.Status(code=number, message=str(self))
        for detail in self.details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        await end_call(context, self.code, str(self), ((DETAILS_KEY, status.SerializeToString()),))


def invalid(field: str, message: str) -> Refusal:
    """INVALID_ARGUMENT for one field of the request."""
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{field}: {message}",
        error_details_pb2.BadRequest(field_violations=[violation]),
    )


def exhausted(message: str, retry_after_s: float, reason: str = "") -> Refusal:
    """RESOURCE_EXHAUSTED, with when to try again."""
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    return Refusal(code, message, _retry(retry_after_s), reason=reason)


def unavailable(message: str, retry_after_s: float, reason: str = "") -> Refusal:
    """UNAVAILABLE, with when to try again."""
    return Refusal(grpc.StatusCode.UNAVAILABLE, message, _retry(retry_after_s), reason=reason)


def database_away(message: str) -> Refusal:
    """UNAVAILABLE while the database of identities and counts cannot be used."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE, message, _retry(_DATABASE_RETRY_S), reason="database"
    )


def mismatch(message: str, **facts: str) -> Refusal:
    """FAILED_PRECONDITION with reason PAIR_MISMATCH: the device's pair is not the one served."""
    info = error_details_pb2.ErrorInfo(reason="PAIR_MISMATCH", domain=DOMAIN, metadata=facts)
    return Refusal(grpc.StatusCode.FAILED_PRECONDITION, message, info)


def duplicate(request_id: str) -> Refusal:
    """ALREADY_EXISTS: a request of this id is in flight."""
    info = error_details_pb2.ErrorInfo(
        reason="REQUEST_IN_FLIGHT", domain=DOMAIN, metadata={"request_id": request_id}
    )
    return Refusal(
        grpc.StatusCode.ALREADY_EXISTS, f"a request with id {request_id!r} is in flight", info
    )


def unauthenticated(message: str, reason: str, device: str = "") -> Refusal:
    """UNAUTHENTICATED: no identity that is admitted. `reason` is for programs."""
    return Refusal(
        grpc.StatusCode.UNAUTHENTICATED,
        message,
        error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN),
        reason=reason.lower(),
        device=device,
    )


def forbidden(message: str, device: str, **facts: str) -> Refusal:
    """PERMISSION_DENIED: a known identity whose role does not permit the call."""
    info = error_details_pb2.ErrorInfo(reason="WRONG_ROLE", domain=DOMAIN, metadata=facts)
    return Refusal(
        grpc.StatusCode.PERMISSION_DENIED, message, info, reason="wrong_role", device=device
    )


def over_quota(subject: str, limit: str, message: str, retry_after_s: float) -> Refusal:
    """RESOURCE_EXHAUSTED for one identity: which of its limits, and when that resets."""
    violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=message)
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        message,
        error_details_pb2.QuotaFailure(violations=[violation]),
        _retry(retry_after_s),
        reason=limit,
        device=subject,
    )


def _retry(after_s: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(round(after_s * 1000))
    return error_details_pb2.RetryInfo(retry_delay=delay)
