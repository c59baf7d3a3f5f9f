"""`python -m training.data NAME`: prepares a data set as VERL's parquet rows."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.data.command import run

        return run(arguments)

    return run_command("training.data", work)


if __name__ == "__main__":
    sys.exit(main())
