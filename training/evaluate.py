"""`python -m training.evaluate`: one method on one data set, as JSON (`conf/evaluate.yaml`)."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.evaluation_run import run

        return run(arguments)

    return run_command("training.evaluate", work)


if __name__ == "__main__":
    sys.exit(main())
