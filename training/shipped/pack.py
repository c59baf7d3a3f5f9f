"""`python -m training.shipped.pack OUT NAME VERSION --into DIR`: what ships of an adapter."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.shipped.packing import run

        return run(arguments)

    return run_command("training.shipped.pack", work)


if __name__ == "__main__":
    sys.exit(main())
