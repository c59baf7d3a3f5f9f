"""`python -m duet_training.sft.adapted OUT`: a model's adapter, and a decoder for it."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.sft.adapted_pair import run

        return run(arguments)

    return run_command("duet_training.sft.adapted", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
