"""`python -m duet_training.data.story_problems SCOPE`: word problems as JSON lines, as the bench reads them."""

import argparse
from typing import get_args

from duet_training.commands import COUNT, SEED
from duet_training.data.story_problems.draw import SCOPES, Split, question_lines


def run(arguments: list[str] | None = None) -> int:
    """Reads the command line and prints problems.

    Raises:
        DataError: there is no such scope.
    """
    parser = argparse.ArgumentParser(
        prog="python -m duet_training.data.story_problems", description=__doc__
    )
    parser.add_argument("scope", metavar="SCOPE", help=f"one of {', '.join(SCOPES)}")
    parser.add_argument("--split", choices=get_args(Split), default="test")
    parser.add_argument("--count", type=COUNT, default=200)
    parser.add_argument("--seed", type=SEED, default=0)
    options = parser.parse_args(arguments)
    print(question_lines(options.scope, options.split, options.count, options.seed), end="")
    return 0
