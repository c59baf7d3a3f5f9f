"""Errors in OpenAI's shape, with the status that its clients expect."""

from dataclasses import dataclass
from typing import Any

from duet_contract.terminal import one_line
from duet_device import errors
from duet_device.errors import DeviceError


@dataclass
class ApiError(Exception):
    """A request that is not answered."""

    message: str
    """One sentence for the user."""
    status: int = 400
    """HTTP status."""
    code: str | None = None
    """OpenAI's code, for programs."""
    parameter: str | None = None
    """The parameter at fault."""
    retry_after: float | None = None
    """Seconds until a new try."""

    def __post_init__(self) -> None:
        # Both may quote the request, and a lone surrogate cannot be sent.
        self.message = one_line(self.message)
        self.parameter = self.parameter and one_line(self.parameter)

    def body(self) -> dict[str, Any]:
        """Return the error as JSON data."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        if self.status == 429:
            kind = "rate_limit_error"
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.parameter,
                "code": self.code,
            }
        }

    def headers(self) -> dict[str, str]:
        """Return the headers of the response."""
        return {} if self.retry_after is None else {"retry-after": f"{self.retry_after:.0f}"}


# Settings that OpenAI's API has, too; the others are in its object "duet".
_PARAMETERS = {"answer_tokens": "max_tokens", "temperature": "temperature", "seed": "seed"}
# The first that fits counts. OpenAI's clients try again after 408, 409, 429 and 5xx.
_STATUSES: tuple[tuple[type[DeviceError], int, str], ...] = (
    (errors.UsageProblem, 400, "invalid_question"),
    (errors.AloneWorthless, 400, "alone_worthless"),
    (errors.CloudBusy, 429, "cloud_busy"),
    (errors.CloudRefused, 403, "cloud_refused"),
    (errors.CloudUnreachable, 503, "cloud_unreachable"),
    (errors.DeadlineExceeded, 504, "deadline_exceeded"),
    (errors.VaultError, 403, "vault"),
    (errors.IdentityProblem, 403, "identity"),
    (errors.ModelProblem, 500, "model"),
)


def api_error(error: DeviceError) -> ApiError:
    """Return the API's error for an error of the device.

    Examples:
        >>> api_error(errors.CloudBusy("full", retry_after=2.0)).status
        429
    """
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            wait = error.retry_after if isinstance(error, errors.CloudBusy) else None
            setting = error.setting if isinstance(error, errors.UsageProblem) else None
            parameter = setting and _PARAMETERS.get(setting, f"duet.{setting}")
            return ApiError(str(error), status, code, parameter, wait)
    return ApiError(str(error), 503, type(error).__name__)
