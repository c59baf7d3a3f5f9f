"""`python tools/bench_split.py` in a checkout: `duet-bench split`, or `duet-bench figures`."""

import sys

try:
    from duet_tools.cli import main
except ModuleNotFoundError as error:
    install = "pip install ./proto ./device ./tools"
    sys.exit(f"{error.name} is not installed; install it with: {install}")

if __name__ == "__main__":
    if sys.argv[1:2] != ["figures"]:
        sys.argv.insert(1, "split")
    sys.exit(main())
