"""`python -m duet_training.data NAME`: prepares a data set as VERL's parquet rows."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.data.command import run

        return run(arguments)

    return run_command("duet_training.data", work)


if __name__ == "__main__":
    sys.exit(main())
