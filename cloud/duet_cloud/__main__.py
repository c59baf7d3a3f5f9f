"""`python -m duet_cloud`: the same as `duet-cloud`."""

import sys

from duet_cloud.cli import main

if __name__ == "__main__":
    sys.exit(main())
