"""`python tools/bench_split.py` in a checkout: the same as `duet-bench split`."""

import sys

from duet_tools.bench_split import main

if __name__ == "__main__":
    sys.exit(main())
