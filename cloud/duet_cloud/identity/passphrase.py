"""The passphrase of the authority's key: from a file, the environment, or the terminal."""

import getpass
import os
import sys
from pathlib import Path

from duet_cloud.errors import UsageError
from duet_cloud.identity.credentials import check_private
from duet_contract.json_data import read_text

VARIABLE = "DUET_AUTHORITY_PASSPHRASE"
_MOST_BYTES = 1 << 16


def read_passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """Return the passphrase; prompt for it twice if `confirm`.

    Raises:
        UsageError: it is missing or empty, or the two entries differ.
        CredentialsError: every user of the host may read the file.
    """
    if file is not None:
        check_private(file)
        try:
            # A line's end is not meant to be part of it.
            passphrase = read_text(file, _MOST_BYTES).rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the passphrase in {file}: {error}") from error
        if "\n" in passphrase or "\r" in passphrase:
            raise UsageError(f"{file} has several lines: a passphrase file holds one")
    elif VARIABLE in os.environ:
        passphrase = os.environ[VARIABLE]
    elif sys.stdin.isatty():
        passphrase = getpass.getpass("Passphrase of the authority's key: ")
        if confirm and getpass.getpass("Repeat it: ") != passphrase:
            raise UsageError("the two passphrases differ")
    else:
        raise UsageError(
            f"the authority's key needs its passphrase: set {VARIABLE}, or give --passphrase-file"
        )
    if not passphrase:
        raise UsageError("the passphrase is empty")
    return passphrase
