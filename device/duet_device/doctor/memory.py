"""Whether the decoder fits into memory."""

import re
from pathlib import Path

from duet_device.doctor.check import Finding, Machine

# The process without a model, and its key-value cache: 148 MB in benchmarks (`duet-bench local`).
_SPARE_BYTES = 150 << 20


def check(machine: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
    needed = _SPARE_BYTES + sum(file.bytes for file in machine.pair.manifest.decoder.files)
    free = available()
    if free is None:
        return Finding(
            "ok", f"{needed / 1e6:,.0f} MB needed; this system does not say what is free"
        )
    value = f"{free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB needed"
    if free < needed:
        return Finding("error", value, "end other programs, or use a smaller pair")
    return Finding("ok", value)


def available(root: Path = Path("/")) -> int | None:
    """Return the bytes that a process may still use; None where the system does not say.

    Args:
        root: the root of the file system.
    """
    try:
        found = re.search(r"MemAvailable:\s*(\d+)", (root / "proc/meminfo").read_text())
    except OSError:
        return None
    if not found:
        return None
    free = int(found[1]) << 10
    group = root / "sys/fs/cgroup"
    try:
        most, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        return min(free, int(most) - int(used))
    except (OSError, ValueError):
        return free
