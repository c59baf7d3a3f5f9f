"""`python -m duet_tools`: the same as `duet-bench`."""

import sys

from duet_tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
