"""`python -m duet_training.release OUT`: a pair that comes with the code, from nothing."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.release.release import run

        return run(arguments)

    return run_command("duet_training.release", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
