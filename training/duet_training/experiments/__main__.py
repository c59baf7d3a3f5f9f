"""`python -m duet_training.experiments`: every comparison at small scale, from scratch, on a CPU."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.experiments.command import run

        return run(arguments)

    return run_command("duet_training.experiments", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
