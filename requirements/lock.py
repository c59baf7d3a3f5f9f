"""Writes a lock: every distribution of an environment, pinned, for `pip install --no-deps -r`.

    python requirements/lock.py cpu.txt EXTRAS torch==2.13.0  (`make lock` names the extras)

Resolves with pip itself and leaves out what the CPU environment must not have: torchvision,
torchaudio and torchcodec come as CUDA builds there and break transformers' imports. That is also
why a lock is installed with `--no-deps`.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LEFT_OUT = {"torchvision", "torchaudio", "torchcodec", "duet-split"}


def main(name: str, extras: str, *constraints: str) -> None:
    """Resolves the project with `extras` and writes `requirements/NAME`."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--quiet", "--report", str(report), f"{root}[{extras}]", *constraints]
        subprocess.run(command, check=True)
        chosen = json.loads(report.read_text("utf-8"))["install"]
    pins = sorted(
        f"{item['metadata']['name']}=={item['metadata']['version'].split('+')[0]}"
        for item in chosen
        if item["metadata"]["name"].lower() not in LEFT_OUT
    )
    header = f"# Written by requirements/lock.py for the extras {extras}. Install with --no-deps.\n"
    target = root / "requirements" / name
    target.write_text(header + "".join(f"{pin}\n" for pin in sorted(pins, key=str.lower)), "utf-8")
    print(f"{target.name}: {len(pins)} distributions")


if __name__ == "__main__":
    main(*sys.argv[1:])
