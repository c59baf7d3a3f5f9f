"""Every error that a user of the device can meet, and the exit code it ends the command with."""

from enum import IntEnum


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
    INTERRUPTED = 130
    STDOUT_CLOSED = 141


class DeviceError(Exception):
    """Base of the errors that the device raises. The message is one line for the user."""

    exit_code = ExitCode.MODEL


class UsageProblem(DeviceError):
    """What was asked cannot be asked: an empty, malformed or too long question, a bad limit."""

    exit_code = ExitCode.USAGE


class CloudUnreachable(DeviceError):
    """No cloud, or the link broke before the signal was complete."""

    exit_code = ExitCode.UNREACHABLE


class CloudRefused(DeviceError):
    """The cloud answered that it will not reason about this question."""

    exit_code = ExitCode.REFUSED


class CloudBusy(CloudRefused):
    """The cloud has no place now. `retry_after`: seconds until it may have, if it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceeded(DeviceError):
    """The time that the question was given has passed."""

    exit_code = ExitCode.DEADLINE


class ModelProblem(DeviceError):
    """The pair or its decoder is missing, damaged, or cannot be run."""

    exit_code = ExitCode.MODEL


class PairMismatch(ModelProblem):
    """The cloud reasons with another pair than the decoder belongs to."""


class VaultError(DeviceError):
    """What the device keeps encrypted cannot be had: wrong key, altered, or damaged."""

    exit_code = ExitCode.VAULT


class VaultLocked(VaultError):
    """The key cannot be had here: no keyring, and no passphrase."""


class IdentityProblem(DeviceError):
    """No identity for a server that asks for one, or one that ended, was altered or is not ours."""

    exit_code = ExitCode.IDENTITY


class IdentityExpired(IdentityProblem):
    """This device's certificate is not valid now: the device can still answer alone."""


class UntrustedPair(ModelProblem):
    """A pair that nobody trusted has signed, that was altered, or is older than the one here."""


class OutputClosed(DeviceError):
    """The reader of stdout has gone; there is no one to report it to."""

    exit_code = ExitCode.STDOUT_CLOSED


class OutputLost(DeviceError):
    """Stdout cannot take the output: it is closed, its disk is full, or it failed."""

    exit_code = ExitCode.OUTPUT


class Interrupted(DeviceError):
    """The user, or the program that asked, stopped the question."""

    exit_code = ExitCode.INTERRUPTED
