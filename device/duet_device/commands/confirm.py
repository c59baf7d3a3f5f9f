"""Ask the user a question that is answered with y or n."""

import sys

from duet_contract.terminal import one_line
from duet_device.errors import UsageProblem


def confirmed(question: str, without: str) -> bool:
    """Ask on stderr and read the answer from stdin.

    Args:
        question: to be answered with y or n.
        without: what the error advises where no one answers.

    Raises:
        UsageProblem: there is no one who could answer.
    """
    sys.stderr.write(one_line(question) + " [y/N]: ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except (OSError, ValueError):
        answer = ""
    if not answer:
        sys.stderr.write("\n")
        raise UsageProblem(f"no one answered on stdin: {without}")
    return answer.strip().lower() in ("y", "yes")
