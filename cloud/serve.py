"""`python -m cloud.serve`: serve a pair's reasoner until told to stop."""

import sys
from collections.abc import Sequence

from cloud.errors import INSTALL
from duet_contract import console


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the service; returns its exit code (see `cloud.errors.Exit`)."""

    def command() -> int:
        from cloud.service import run

        return run(sys.argv[1:] if arguments is None else list(arguments))

    return console.run("cloud.serve", command, install=INSTALL)


if __name__ == "__main__":
    sys.exit(main())
