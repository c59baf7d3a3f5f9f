"""`python -m training.stories SCOPE`: word problems as JSON lines, as the bench reads them."""

import argparse
import json
import sys
from typing import get_args

from training.errors import TrainingError
from training.stories.draw import SCOPES, Split, problems


def main(arguments: list[str] | None = None) -> int:
    """Prints problems; 0, or 1 with one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m training.stories", description=__doc__)
    parser.add_argument("scope", metavar="SCOPE", help=f"one of {', '.join(SCOPES)}")
    parser.add_argument("--split", choices=get_args(Split), default="test")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        for problem in problems(options.scope, options.split, options.count, options.seed):
            print(json.dumps({"question": problem.question, "answer": problem.answer}))
    except TrainingError as error:
        print(f"training.stories: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
