"""Writes a lock: every distribution of an environment, pinned, for `pip install --no-deps -r`.

    python requirements/lock.py cpu.txt PROJECT... --group dev --with torch==2.13.0

(`make lock` names the projects.)

Resolves the projects named with pip itself and leaves out what the CPU environment must not have:
torchvision, torchaudio and torchcodec come as CUDA builds and break transformers' imports. That is
also why a lock is installed with `--no-deps`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {"torchvision", "torchaudio", "torchcodec"}


def main() -> None:
    """Resolves the projects and writes `requirements/NAME`."""
    parser = argparse.ArgumentParser(description="Write a lock of the projects named.")
    parser.add_argument("name", help="file in requirements/")
    parser.add_argument("projects", nargs="*", help="folder of a project, with extras")
    parser.add_argument("--group", required=True, help="dependency group of the root project file")
    parser.add_argument("--with", dest="constraints", action="append", default=[], metavar="PIN")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--quiet", "--report", str(report), "--group", asked.group]
        command += [*(f"./{project}" for project in asked.projects), *asked.constraints]
        subprocess.run(command, check=True, cwd=ROOT)
        chosen = json.loads(report.read_text("utf-8"))["install"]
    pins = sorted(
        f"{item['metadata']['name']}=={item['metadata']['version'].split('+')[0]}"
        for item in chosen
        if not item["metadata"]["name"].lower().startswith("duet-")
        and item["metadata"]["name"].lower() not in LEFT_OUT
    )
    wanted = ", ".join(asked.projects) or f"group {asked.group}"
    header = f"# Written by requirements/lock.py for {wanted}. Install with --no-deps.\n"
    target = ROOT / "requirements" / asked.name
    target.write_text(header + "".join(f"{pin}\n" for pin in sorted(pins, key=str.lower)), "utf-8")
    print(f"{target.name}: {len(pins)} distributions")


if __name__ == "__main__":
    main()
