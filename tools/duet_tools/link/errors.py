"""Errors of emulated links. Each message is one line."""

from duet_tools.errors import BenchError, UsageProblem


class BadLink(UsageProblem):
    """A link's setting is not one that a link can have. Exit code 2."""


class BadTimeline(UsageProblem):
    """A timeline cannot be read or makes no sense. Exit code 2."""


class ListenFailed(BenchError):
    """The emulator cannot listen on the given address. Exit code 3."""

    exit_code = 3
