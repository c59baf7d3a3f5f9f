"""Whether llama.cpp is there, and was built for this processor."""

import re
from pathlib import Path

from duet_device.doctor.check import Finding, Machine

_REBUILD = "pip install --force-reinstall --no-deps --no-binary llama-cpp-python llama-cpp-python"
# llama.cpp's names, and Linux's for the same.
_FEATURES = {"AVX2": "avx2", "FMA": "fma", "F16C": "f16c", "AVX512": "avx512f"}


def check(_: Machine) -> Finding:
    """See `duet_device.doctor.check`."""
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
