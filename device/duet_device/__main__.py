"""`python -m duet_device`: the same as `duet-device`."""

import sys

from duet_device.cli import main

if __name__ == "__main__":
    sys.exit(main())
