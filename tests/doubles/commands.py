"""Groups of commands, called as functions."""

from collections.abc import Sequence

from duet_cloud.cli import main
from duet_tools.cli import main as bench


def cloud_pairs(arguments: Sequence[str]) -> int:
    """Runs `duet-cloud pairs`."""
    return main(["pairs", *arguments])


def cloud_admin(arguments: Sequence[str]) -> int:
    """Runs `duet-cloud admin`."""
    return main(["admin", *arguments])


def bench_split(arguments: Sequence[str]) -> int:
    """Runs `duet-bench split`."""
    return bench(["split", *arguments])


def bench_link(arguments: Sequence[str]) -> int:
    """Runs `duet-bench link`."""
    return bench(["link", *arguments])


def bench_capacity(arguments: Sequence[str]) -> int:
    """Runs `duet-bench capacity`."""
    return bench(["capacity", *arguments])


def bench_tables(arguments: Sequence[str]) -> int:
    """Runs `duet-bench tables`."""
    return bench(["tables", *arguments])


def bench_tls(arguments: Sequence[str]) -> int:
    """Runs `duet-bench tls`."""
    return bench(["tls", *arguments])


def bench_demo(arguments: Sequence[str]) -> int:
    """Runs `duet-bench demo`."""
    return bench(["demo", *arguments])
