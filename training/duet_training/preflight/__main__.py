"""`python -m duet_training.preflight OVERRIDES...`: checks a run in seconds, before it is queued."""

import sys

from duet_training.commands import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""

    def work() -> int:
        from duet_training.preflight.command import run_checks

        return run_checks(arguments)

    return run_command("duet_training.preflight", work)


if __name__ == "__main__":
    sys.exit(main())
