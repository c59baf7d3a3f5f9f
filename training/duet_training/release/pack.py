"""`python -m duet_training.release.pack OUT NAME VERSION --into DIR`: what ships of an adapter."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.release.packing import run

        return run(arguments)

    return run_command("duet_training.release.pack", work)


if __name__ == "__main__":
    sys.exit(main())
