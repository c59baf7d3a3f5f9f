"""`python -m duet_training.evaluation.batch FILE`: several evaluations, one after the other."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.evaluation.batch_run import run

        return run(arguments)

    return run_command("duet_training.evaluation.batch", work)


if __name__ == "__main__":
    sys.exit(main())
