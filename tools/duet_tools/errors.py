"""Errors of the bench. A message is one line that says what is wrong and what to do."""


class BenchError(Exception):
    """Something the bench needs failed. Exit code 1."""

    exit_code = 1


class UsageProblem(BenchError):
    """What was asked for cannot be measured. Exit code 2."""

    exit_code = 2
