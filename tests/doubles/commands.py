"""Groups of commands, called as functions."""

from collections.abc import Sequence

from duet_cloud.cli import main


def cloud_pairs(arguments: Sequence[str]) -> int:
    """Runs `duet-cloud pairs`."""
    return main(["pairs", *arguments])


def cloud_admin(arguments: Sequence[str]) -> int:
    """Runs `duet-cloud admin`."""
    return main(["admin", *arguments])
