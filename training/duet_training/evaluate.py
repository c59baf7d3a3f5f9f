"""`python -m duet_training.evaluate`: one method on one data set, as JSON (`conf/evaluate.yaml`)."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.evaluation.run import run

        return run(arguments)

    return run_command("duet_training.evaluate", work)


if __name__ == "__main__":
    sys.exit(main())
