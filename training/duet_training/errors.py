"""Errors of training. A message is one line that says what is wrong and what to do."""


class TrainingError(Exception):
    """Base of every error that `training` raises on purpose."""

    exit_code = 1


class ConfigError(TrainingError):
    """A setting that is missing, unknown, or at odds with another."""


class ClusterError(TrainingError):
    """Ray that does not start, or a cluster that does not answer."""


class DeviceError(TrainingError):
    """A check of a GPU on a machine without one."""

    exit_code = 4


class DataError(TrainingError):
    """A data set that is unknown, unreadable, or has rows that cannot be used."""


class VerifierError(TrainingError):
    """A verifier that does not tell a right answer from a wrong one."""


class DivergenceError(TrainingError):
    """Training that went wrong in numbers: NaN, or rollout and trainer no longer agree."""


class CheckpointError(TrainingError):
    """A checkpoint that cannot be written, read, or belongs to another configuration."""


class SigningError(TrainingError):
    """A pair that cannot be signed, or a key that cannot be made or used."""


def one_line(error: BaseException) -> str:
    """An error's message as one line; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def last_line(error: BaseException) -> str:
    """The last line of an error's message, where torch and Ray say what happened; else its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


class ExportError(TrainingError):
    """A run that cannot be made into a pair: tokenizer, quantization, disk, or another program."""


class ParityError(ExportError):
    """An exported model that does not do what the trained one does."""

    exit_code = 3


class EvaluationError(TrainingError):
    """An evaluation of several that cannot be done."""


class CommandError(TrainingError):
    """A command of a stage that cannot start or that failed; its log has the details."""


class CommandTimeout(CommandError):
    """A command that was ended at its time limit."""


class Interrupted(TrainingError):
    """Ctrl-C or SIGTERM ended a command that continues when it is called again."""

    exit_code = 130
