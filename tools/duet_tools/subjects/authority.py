"""An authority of `duet-cloud admin` for the length of a measurement, and codes for devices."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSPHRASE = "for the length of a measurement"


@contextmanager
def authority(directory: Path) -> Iterator[Path]:
    """An authority, for this process's `duet-cloud admin` and for a service's `--tls-dir`."""
    with variables(DUET_AUTHORITY=str(directory), DUET_AUTHORITY_PASSPHRASE=PASSPHRASE):
        _admin("init")
        yield directory


def invite(device: str) -> str:
    """Return a code for a device that has none yet."""
    return _admin("invite", device).strip()


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Set environment variables for a while, for this process and those that it starts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ |= values
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _admin(*arguments: str) -> str:
    command = [sys.executable, "-m", "duet_cloud", "admin", *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout
