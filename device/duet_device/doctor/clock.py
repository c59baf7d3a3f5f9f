"""Whether the clock can be right: certificates are valid from one time to another."""

import time
from pathlib import Path

from duet_contract.pairs import pairs_home, pairs_in
from duet_device.doctor.check import Finding, Machine

_FIX = "set the clock, for example: sudo timedatectl set-ntp true"
_SLACK_S = 60


def check(_: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
    now = time.time()
    # The clock cannot be before what was written here.
    written = [Path(__file__), *pairs_in(pairs_home()).values()]
    latest = max(path.stat().st_mtime for path in written)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now + _SLACK_S < latest:
        wrote = time.strftime("%Y-%m-%d", time.gmtime(latest))
        return Finding("error", f"{shown}, but files here are of {wrote}", _FIX)
    return Finding("ok", shown)
