"""Errors of the training room. A message is one line that says what is wrong and what to do."""


class TrainingError(Exception):
    """Base of every error that `training` raises on purpose."""


class ConfigError(TrainingError):
    """A setting that is missing, unknown, or at odds with another."""


class DataError(TrainingError):
    """A data set that is unknown, unreadable, or has rows that cannot be used."""


class VerifierError(TrainingError):
    """A verifier that does not tell a right answer from a wrong one."""


class DivergenceError(TrainingError):
    """Training that went wrong in numbers: NaN, or rollout and trainer no longer agree."""


class CheckpointError(TrainingError):
    """A checkpoint that cannot be written, read, or belongs to another configuration."""


class ExportError(TrainingError):
    """A run that cannot be made into a pair: tokenizer, quantisation, disk, or another program."""


class ParityError(ExportError):
    """An exported model that does not do what the trained one does."""
