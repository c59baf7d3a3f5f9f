"""`python -m cloud.serve` in a checkout: the same as `duet-cloud serve`."""

import sys

try:
    from duet_cloud.cli import main
except ModuleNotFoundError as error:
    install = "pip install ./proto './cloud[gpu]'"
    sys.exit(f"{error.name} is not installed; install it with: {install}")

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
