"""`python -m duet_cloud.serve`: serve a pair's reasoner until told to stop."""

import sys
from collections.abc import Sequence

from duet_cloud.errors import INSTALL
from duet_contract import console


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the service; returns its exit code (see `duet_cloud.errors.Exit`)."""

    def command() -> int:
        from duet_cloud.service import run

        return run(sys.argv[1:] if arguments is None else list(arguments))

    return console.run("duet_cloud.serve", command, install=INSTALL)


if __name__ == "__main__":
    sys.exit(main())
