"""`python -m duet_training.sft OUT --size SIZE`: a pair that can read, reason and answer."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.sft.from_scratch import run

        return run(arguments)

    return run_command("duet_training.sft", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
