"""`python -m training.supervised.formulas OUT`: a pair for private quantities."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.supervised.formula_pair import run

        return run(arguments)

    return run_command("training.supervised.formulas", work, resumes=True)


if __name__ == "__main__":
    sys.exit(main())
