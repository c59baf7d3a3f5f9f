"""`python -m duet_training.evaluation.report RESULTS... --out DIR`: the paper's tables and figures of a run."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.evaluation.report.command import run

        return run(arguments)

    return run_command("duet_training.evaluation.report", work)


if __name__ == "__main__":
    sys.exit(main())
