"""`python -m training.shipped OUT`: a pair that comes with the code, from nothing."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.shipped.release import run

        return run(arguments)

    return run_command("training.shipped", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
