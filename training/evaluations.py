"""`python -m training.evaluations FILE`: several evaluations, one after the other."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.evaluation_list import run

        return run(arguments)

    return run_command("training.evaluations", work)


if __name__ == "__main__":
    sys.exit(main())
