"""`python -m duet_training.sft.solutions OUT --base DIR --annotated FILE`: one model by itself."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.sft.solution_model import run

        return run(arguments)

    return run_command("duet_training.sft.solutions", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
