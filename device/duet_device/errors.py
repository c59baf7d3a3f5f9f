"""Define every error of the device, and the exit code of each.

Those of an output that fails are `duet_contract.console`'s.
"""

from enum import IntEnum
from typing import TypeVar


class ExitCode(IntEnum):
    """Exit codes of `duet-device`; part of its interface.

    Examples:
        >>> int(ExitCode.UNREACHABLE), ExitCode(5).name
        (3, 'DEADLINE')
    """

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
    """Base of the errors that the device raises. The message is one line for the user.

    Examples:
        >>> try:
        ...     raise CloudUnreachable("no connection to gpu.example.org:50151")
        ... except DeviceError as error:
        ...     print(f"{error} (exit code {int(error.exit_code)})")
        no connection to gpu.example.org:50151 (exit code 3)
    """

    exit_code = ExitCode.MODEL


class UsageProblem(DeviceError):
    """The question is empty, malformed or too long, or a setting is out of range.

    Args:
        message: one line for the user.
        setting: the field of `duet_device.settings.Settings` at fault, if it is one.

    Examples:
        >>> from duet_device import Client
        >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
        ...     try:
        ...         client.ask("How many are 3 times 3?", budget=1000)
        ...     except UsageProblem as error:
        ...         print(error.setting)
        budget
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, setting: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting


class CloudUnreachable(DeviceError):
    """No cloud, or the link broke before the signal was complete.

    Examples:
        >>> CloudUnreachable("no connection to gpu.example.org:50151").exit_code.name
        'UNREACHABLE'
    """

    exit_code = ExitCode.UNREACHABLE


class AloneWorthless(DeviceError):
    """The device was asked to answer alone, and its pair says that the decoder is not useful alone.

    Examples:
        >>> AloneWorthless("the decoder cannot answer alone").exit_code.name
        'UNREACHABLE'
    """

    exit_code = ExitCode.UNREACHABLE


class BrokenSignal(CloudUnreachable):
    """The cloud sent what is not a signal by the contract.

    Examples:
        >>> isinstance(BrokenSignal("the signal has no end"), CloudUnreachable)
        True
    """


class CloudRefused(DeviceError):
    """The cloud refused the question.

    Examples:
        >>> CloudRefused("this device was revoked").exit_code.name
        'REFUSED'
    """

    exit_code = ExitCode.REFUSED


class CloudBusy(CloudRefused):
    """The cloud is at capacity. `retry_after`: seconds until a new try, if it said so.

    Examples:
        >>> try:
        ...     raise CloudBusy("gpu.example.org:50151 is at capacity", retry_after=2.0)
        ... except CloudBusy as error:
        ...     print(f"{error}: try again in {error.retry_after or 1:g} s")
        gpu.example.org:50151 is at capacity: try again in 2 s
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceeded(DeviceError):
    """The time limit of the question has passed.

    Examples:
        >>> DeadlineExceeded("the timeout of 5 s passed").exit_code.name
        'DEADLINE'
    """

    exit_code = ExitCode.DEADLINE


class SignalLate(DeadlineExceeded):
    """The signal is not whole, and only the time for the device's own part is left.

    Examples:
        >>> isinstance(SignalLate("the signal is not whole"), DeadlineExceeded)
        True
    """


class ModelProblem(DeviceError):
    """The pair or its decoder is missing, damaged, or cannot be run.

    Examples:
        >>> from duet_device import open_pair
        >>> try:
        ...     open_pair("no-such-pair")
        ... except ModelProblem as error:
        ...     print(error.exit_code.name)
        MODEL
    """


class PairMismatch(ModelProblem):
    """The cloud reasons with another pair than the decoder belongs to.

    Examples:
        >>> isinstance(PairMismatch("the cloud serves smollm2-135m@1.0.0"), ModelProblem)
        True
    """


class VaultError(DeviceError):
    """Encrypted store unavailable: key missing, wrong key, or data modified.

    Examples:
        >>> VaultError("the key is wrong").exit_code.name
        'VAULT'
    """

    exit_code = ExitCode.VAULT


class VaultLocked(VaultError):
    """The key is unavailable: there is no keyring and no passphrase.

    Examples:
        >>> isinstance(VaultLocked("there is no keyring and no passphrase"), VaultError)
        True
    """


class IdentityProblem(DeviceError):
    """The identity for a server is missing, ended, modified, or belongs to another device.

    Examples:
        >>> IdentityProblem("this device is not enrolled").exit_code.name
        'IDENTITY'
    """

    exit_code = ExitCode.IDENTITY


class IdentityExpired(IdentityProblem):
    """This device's certificate is not valid now: the device can still answer alone.

    Examples:
        >>> isinstance(IdentityExpired("the certificate expired"), IdentityProblem)
        True
    """


class UntrustedPair(ModelProblem):
    """A pair without a trusted signature, modified, or older than the one here.

    Examples:
        >>> isinstance(UntrustedPair("the signature is not the publisher's"), ModelProblem)
        True
    """


class BatchIncomplete(DeviceError):
    """Some questions of a batch were not answered.

    Examples:
        >>> BatchIncomplete("2 of 100 questions were not answered").exit_code.name
        'INCOMPLETE'
    """

    exit_code = ExitCode.INCOMPLETE


class Interrupted(DeviceError):
    """The user, or the program that asked, stopped the question.

    Examples:
        >>> int(Interrupted("interrupted").exit_code)
        130
    """

    exit_code = ExitCode.INTERRUPTED


_Error = TypeVar("_Error", bound=DeviceError)


def saying(error: _Error, text: str) -> _Error:
    """Return an error like another one with a text of its own.

    Examples:
        >>> saying(CloudBusy("at capacity", retry_after=2.0), "all servers are at capacity").retry_after
        2.0
    """
    from copy import copy  # Only a question that fails needs it.

    again = copy(error)
    again.args = (text,)
    return again


def refused_alone(error: DeviceError, pair: str) -> DeviceError:
    """Return the error of a question that was not answered, where the device does not answer alone.

    Args:
        error: why there is no signal.
        pair: id of the pair.

    Examples:
        >>> str(refused_alone(CloudUnreachable("no connection"), "smollm2-135m"))
        'no connection; the decoder of smollm2-135m cannot answer alone (--device-only has it try)'
    """
    return saying(
        error, f"{error}; the decoder of {pair} cannot answer alone (--device-only has it try)"
    )
