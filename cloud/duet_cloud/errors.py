"""Errors of the cloud package; each carries the exit code that a command ends with."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the cloud's commands."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ADDRESS = 3
    CREDENTIALS = 4
    DATABASE = 5
    MODEL = 6


class CloudError(Exception):
    """Base of every error here. The message is one line: what is wrong and what to do."""

    exit_code = Exit.FAILED


class UsageError(CloudError):
    """Options that contradict each other or name something that does not exist."""

    exit_code = Exit.USAGE


class ListenError(CloudError):
    """An address that cannot be bound, or may not be."""

    exit_code = Exit.ADDRESS


class CredentialsError(CloudError):
    """Certificates, keys or their files that are missing, modified or unusable."""

    exit_code = Exit.CREDENTIALS


class PairBuildError(CloudError):
    """A pair that cannot be built from its sources."""

    exit_code = Exit.MODEL


class EngineError(CloudError):
    """vLLM could not load the reasoner, or died."""

    exit_code = Exit.MODEL
