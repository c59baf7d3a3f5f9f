"""What mutual TLS costs: `python -m duet_tools.tls_cost --help`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    from duet_tools.ending import end

    return end(_command, "python -m duet_tools.tls_cost", arguments)


def _command() -> click.Command:
    from duet_tools.tls.figures import tls_cost

    return tls_cost


if __name__ == "__main__":
    sys.exit(main())
