"""`python -m training.stories SCOPE`: word problems as JSON lines, as the bench reads them."""

import sys

from training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from training.stories.command import run

        return run(arguments)

    return run_command("training.stories", work)


if __name__ == "__main__":
    sys.exit(main())
