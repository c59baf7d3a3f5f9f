"""Define every error of the device, and the exit code of each.

Those of an output that fails are `duet_contract.console`'s.
"""

from enum import IntEnum
from typing import TypeVar


class ExitCode(IntEnum):
    """Exit codes of `duet-device`; part of its interface."""

    OK = 0
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    DEADLINE = 5
    MODEL = 6
    VAULT = 7
    IDENTITY = 8
    OUTPUT = 9
    INCOMPLETE = 10
    INTERRUPTED = 130
    STDOUT_CLOSED = 141


class DeviceError(Exception):
    """Base of the errors that the device raises. The message is one line for the user."""

    exit_code = ExitCode.MODEL


class UsageProblem(DeviceError):
    """The question is empty, malformed or too long, or a setting is out of range.

    Args:
        message: one line for the user.
        setting: the field of `duet_device.settings.Settings` at fault, if it is one.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, setting: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting


class CloudUnreachable(DeviceError):
    """No cloud, or the link broke before the signal was complete."""

    exit_code = ExitCode.UNREACHABLE


class AloneWorthless(DeviceError):
    """The device was asked to answer alone, and its pair says that the decoder is not useful alone."""

    exit_code = ExitCode.UNREACHABLE


class BrokenSignal(CloudUnreachable):
    """The cloud sent what is not a signal by the contract."""


class CloudRefused(DeviceError):
    """The cloud refused the question."""

    exit_code = ExitCode.REFUSED


class CloudBusy(CloudRefused):
    """The cloud is at capacity. `retry_after`: seconds until a new try, if it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceeded(DeviceError):
    """The time limit of the question has passed."""

    exit_code = ExitCode.DEADLINE


class SignalLate(DeadlineExceeded):
    """The signal is not whole, and only the time for the device's own part is left."""


class ModelProblem(DeviceError):
    """The pair or its decoder is missing, damaged, or cannot be run."""


class PairMismatch(ModelProblem):
    """The cloud reasons with another pair than the decoder belongs to."""


class VaultError(DeviceError):
    """Encrypted store unavailable: key missing, wrong key, or data modified."""

    exit_code = ExitCode.VAULT


class VaultLocked(VaultError):
    """The key is unavailable: there is no keyring and no passphrase."""


class IdentityProblem(DeviceError):
    """The identity for a server is missing, ended, modified, or belongs to another device."""

    exit_code = ExitCode.IDENTITY


class IdentityExpired(IdentityProblem):
    """This device's certificate is not valid now: the device can still answer alone."""


class UntrustedPair(ModelProblem):
    """A pair without a trusted signature, modified, or older than the one here."""


class BatchIncomplete(DeviceError):
    """Some questions of a batch were not answered."""

    exit_code = ExitCode.INCOMPLETE


class Interrupted(DeviceError):
    """The user, or the program that asked, stopped the question."""

    exit_code = ExitCode.INTERRUPTED


_Error = TypeVar("_Error", bound=DeviceError)


def saying(error: _Error, text: str) -> _Error:
    """Return an error like another one with a text of its own."""
    from copy import copy  # Only a question that fails needs it.

    again = copy(error)
    again.args = (text,)
    return again


def refused_alone(error: DeviceError, pair: str) -> DeviceError:
    """Return the error of a question that was not answered, where the device does not answer alone.

    Args:
        error: why there is no signal.
        pair: id of the pair.
    """
    return saying(
        error, f"{error}; the decoder of {pair} cannot answer alone (--device-only has it try)"
    )
