"""Checks of this computer: llama.cpp, memory, clock, threads."""

import re
import time
from pathlib import Path

from duet_contract.pairs import pairs_home, pairs_in
from duet_device.decoder.threads import best, measure
from duet_device.doctor.check import Finding, Machine

_REBUILD = "pip install --force-reinstall --no-deps --no-binary llama-cpp-python llama-cpp-python"
# llama.cpp's names, and Linux's for the same.
_FEATURES = {"AVX2": "avx2", "FMA": "fma", "F16C": "f16c", "AVX512": "avx512f"}
# The process without a model, and its key-value cache.
_SPARE_BYTES = 100 << 20
_SET_CLOCK = "set the clock, for example: sudo timedatectl set-ntp true"
_SLACK_S = 60
_SLOWER = 1.2


def library(_: Machine) -> Finding:
    """Whether llama.cpp is there, and was built for this processor."""
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("error", f"llama.cpp cannot be loaded: {error}", _REBUILD)
    info = llama_cpp.llama_print_system_info().decode("utf-8", "replace")
    built = re.findall(r"(\w+) = 1", info)
    value = f"llama.cpp {llama_cpp.__version__}: {', '.join(built)}; GPU offload: " + (
        "yes" if llama_cpp.llama_supports_gpu_offload() else "no"
    )
    lacking = missing(_processor_flags(), built)
    if lacking:
        return Finding("warning", f"{value}; built without {', '.join(lacking)}", _REBUILD)
    return Finding("ok", value)


def missing(flags: set[str], built: list[str]) -> list[str]:
    """Return what the processor has and the library does not use.

    Examples:
        >>> missing({"avx2", "fma"}, ["FMA"])
        ['AVX2']
    """
    return [name for name, flag in _FEATURES.items() if flag in flags and name not in built]


def _processor_flags() -> set[str]:
    try:
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return set()
    return set(found[1].split()) if found else set()


def memory(machine: Machine) -> Finding:
    """Whether the decoder fits into memory."""
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


def clock(_: Machine) -> Finding:
    """Whether the clock can be right: certificates are valid from one time to another."""
    now = time.time()
    # The clock cannot be before what was written here.
    written = [Path(__file__), *pairs_in(pairs_home()).values()]
    latest = max(path.stat().st_mtime for path in written)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now + _SLACK_S < latest:
        wrote = time.strftime("%Y-%m-%d", time.gmtime(latest))
        return Finding("error", f"{shown}, but files here are of {wrote}", _SET_CLOCK)
    return Finding("ok", shown)


def threads(machine: Machine) -> Finding:
    """How many threads decode fastest here; the result is stored for later questions."""
    speeds = measure(machine.pair.directory, machine.pair.manifest)
    chosen = best(speeds)
    shown = ", ".join(f"{number}: {speed:,.0f}" for number, speed in speeds.items())
    value = f"{chosen} chosen; tokens/s by threads: {shown}"
    if machine.threads and speeds[chosen] > _SLOWER * speeds.get(machine.threads, speeds[chosen]):
        return Finding(
            "warning",
            f"{value}; threads is set to {machine.threads}",
            "duet-device config set threads",
        )
    return Finding("ok", value)
