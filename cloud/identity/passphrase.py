"""The passphrase of the authority's key: from a file, the environment, or the terminal."""

import getpass
import os
import sys
from pathlib import Path

from cloud.errors import UsageError

VARIABLE = "DUET_AUTHORITY_PASSPHRASE"


def read_passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """The passphrase; asked twice if `confirm`.

    Raises:
        UsageError: it is nowhere to be had, empty, or the two differ.
    """
    if file is not None:
        try:
            # A line's end is not meant to be part of it.
            passphrase = file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the passphrase in {file}: {error}") from error
    elif VARIABLE in os.environ:
        passphrase = os.environ[VARIABLE]
    elif sys.stdin.isatty():
        passphrase = getpass.getpass("Passphrase of the authority's key: ")
        if confirm and getpass.getpass("Once more: ") != passphrase:
            raise UsageError("the two passphrases differ")
    else:
        raise UsageError(f"the authority's key needs its passphrase: {VARIABLE}, or a file")
    if not passphrase:
        raise UsageError("the passphrase is empty")
    return passphrase
