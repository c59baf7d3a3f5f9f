"""`python -m training.evidence`: every comparison at small scale, from scratch, on a CPU."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.evidence.command import run

        return run(arguments)

    return run_command("training.evidence", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
