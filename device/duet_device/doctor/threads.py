"""How many threads decode fastest here; the result is stored for later questions."""

from duet_device.decoder.threads import best, measure
from duet_device.doctor.check import Finding, Machine

_SLOWER = 1.2


def check(machine: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
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
