"""`python -m training.supervised OUT --size SIZE`: a pair that can read, reason and answer."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.supervised.from_scratch import run

        return run(arguments)

    return run_command("training.supervised", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
