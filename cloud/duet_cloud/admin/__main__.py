"""`python -m duet_cloud.admin`: the service's certificate authority."""

import sys
from collections.abc import Sequence

from duet_cloud.errors import INSTALL
from duet_contract import console


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code (see `duet_cloud.errors.Exit`)."""

    def command() -> int:
        from duet_cloud.admin.commands import run

        return run(sys.argv[1:] if arguments is None else arguments)

    return console.run("duet_cloud.admin", command, install=INSTALL)


if __name__ == "__main__":
    sys.exit(main())
