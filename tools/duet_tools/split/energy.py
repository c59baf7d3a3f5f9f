"""Energy of a period of time where it can be read: RAPL for processors, NVML for GPUs."""

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

_POWERCAP = Path("/sys/class/powercap")
_Reading = dict[str, float]


class EnergyMeter:
    """Joules since it was made, by source; empty where nothing can be read.

    RAPL's counters need a kernel that lets the user read them, and count whole packages: everything
    that runs on the machine is in them.
    """

    def __init__(self, powercap: Path = _POWERCAP) -> None:
        self._powercap = powercap
        self._gpus = _gpus()
        self._began = self._read()

    def joules(self) -> _Reading:
        """Return energy by source (`package-0`, `gpu-0`)."""
        now = self._read()
        wraps = self._wraps()
        found = {}
        for name, value in now.items():
            if name in self._began:
                spent = value - self._began[name]
                # The counter wraps at its range; a period is far shorter than one wrap.
                found[name] = spent if spent >= 0 else spent + wraps.get(name, 0.0)
        return found

    def _read(self) -> _Reading:
        found = {name: value / 1e6 for name, value in self._counters("energy_uj").items()}
        for name, read in self._gpus.items():
            with contextlib.suppress(Exception):  # A GPU that stops reporting is left out.
                found[name] = read()
        return found

    def _wraps(self) -> _Reading:
        return {name: value / 1e6 for name, value in self._counters("max_energy_range_uj").items()}

    def _counters(self, file: str) -> _Reading:
        found = {}
        for zone in sorted(self._powercap.glob("intel-rapl:*")):
            # Zones within a package are counted in the package.
            if zone.name.count(":") == 1:
                with contextlib.suppress(OSError, ValueError):
                    name = (zone / "name").read_text("utf-8").strip()
                    found[name] = float((zone / file).read_text("utf-8"))
        return found


def _gpus() -> dict[str, Callable[[], float]]:
    """Readers of each GPU's energy in joules, through NVML's own Python module if it is there."""
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        handles = [
            nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())
        ]
    except Exception:  # No module, no driver, no GPU: each has an error of its own.
        return {}
    return {
        f"gpu-{index}": lambda handle=handle: (  # type: ignore[misc]
            nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
        )
        for index, handle in enumerate(handles)
    }
