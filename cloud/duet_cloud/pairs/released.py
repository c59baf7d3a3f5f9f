"""Released pairs: small enough for a Python package, ready to install."""

import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from duet_cloud.pairs.target import replacing, vacant
from duet_contract.calibration import add_calibration
from duet_contract.integrity import verify_files
from duet_contract.manifest import MANIFEST_NAME, Manifest, load_manifest

# A reader of the installed pair needs these files next to the manifest.
PAPERS = ("README.md", "LICENSE")


def released_pairs() -> tuple[str, ...]:
    """Return the names of the released pairs."""
    home = _home()
    return tuple(sorted(path.parent.name for path in home.glob(f"*/{MANIFEST_NAME}")))


def released_manifest(name: str) -> Manifest:
    """Return the manifest of a released pair.

    Raises:
        ContractError: it cannot be used.
    """
    return load_manifest(_home() / name)


def install_released(
    name: str,
    target: Path,
    report: Callable[[str], None] = print,
    calibration: Path | None = None,
) -> Manifest:
    """Copy a released pair into `target`, which appears whole or not at all, checked and signed.

    The signature is the builder's: it says that the pair came with the code that runs here.

    Args:
        name: of the pair.
        target: its directory.
        report: called with a line when it is ready.
        calibration: a file that becomes a part of the pair; None keeps what the pair has.

    Raises:
        PairBuildError: the pair is not what its manifest says, the copy cannot be written, or
            `target` holds something else.
    """
    origin = _home() / name
    target = vacant(target)
    with replacing(target, f"{name} cannot be installed") as scratch:
        manifest = load_manifest(origin)
        papers = [paper for paper in PAPERS if (origin / paper).is_file()]
        for path in (MANIFEST_NAME, *papers, *(file.path for file in manifest.files)):
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin / path, scratch / path)
        verify_files(scratch, manifest.files, gguf=(manifest.decoder.path,))
        if calibration:
            manifest = add_calibration(scratch, calibration)
    report(f"{manifest.reference} is ready in {target}")
    return manifest


def _home() -> Path:
    return Path(str(files("duet_pairs")))
