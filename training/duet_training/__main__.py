"""`python -m duet_training`: the same as `duet-train`."""

import sys

from duet_training.cli import main

if __name__ == "__main__":
    sys.exit(main())
