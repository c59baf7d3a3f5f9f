"""`python -m duet_training.sft.formula_accuracy OUT FILE...`: how often formulas are right."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.sft.formula_measure import run

        return run(arguments)

    return run_command("duet_training.sft.formula_accuracy", work)


if __name__ == "__main__":
    sys.exit(main())
