"""`python -m cloud.serve` in a checkout: the same as `duet-cloud serve`."""

import sys

from duet_cloud.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
