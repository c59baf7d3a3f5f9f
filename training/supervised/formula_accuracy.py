"""`python -m training.supervised.formula_accuracy OUT FILE...`: how often formulas are right."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.supervised.formula_measure import run

        return run(arguments)

    return run_command("training.supervised.formula_accuracy", work)


if __name__ == "__main__":
    sys.exit(main())
