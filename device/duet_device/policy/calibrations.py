"""Find the calibration of a pair on this device: the user's own, else the one it came with.

A calibration is for one pair and one decoder file, since quantization changes probabilities. One of
another is never used, since its guarantee would be void: a note says that it is left out.
"""

from collections.abc import Callable
from pathlib import Path

from duet_contract.calibration import Calibration, check_calibration, parse_calibration
from duet_contract.console import OutputLost
from duet_contract.errors import ContractError, ManifestError
from duet_contract.integrity import verify_files
from duet_contract.manifest import Manifest
from duet_contract.private_files import write_private
from duet_device.errors import ModelProblem, VaultError
from duet_device.home import home, is_there
from duet_device.pairs.pair import Pair

_FOLDER = "calibrations"
HOW = "duet-device calibrate DATA"
"""Command that makes a calibration."""


def calibration_of(pair: Pair, note: Callable[[str], None] = lambda _: None) -> Calibration | None:
    """Return the calibration of a pair; None if it has none.

    The user's own one comes first, unless it cannot be used and the pair has another.

    Args:
        pair: the pair.
        note: receives why the user's own one is left out for that of the pair.

    Raises:
        ModelProblem: it is of another pair or another decoder file, or cannot be read.
    """
    manifest = pair.manifest
    own = own_path(manifest)
    try:
        if is_there(own):
            try:
                return _read(own, manifest)
            except ManifestError as error:
                if manifest.calibration is None:
                    raise
                note(f"your calibration is left out for that of the pair: {error}")
        if manifest.calibration is None:
            return None
        verify_files(pair.directory, (manifest.calibration,))
        return _read(pair.directory / manifest.calibration.path, manifest)
    except (OSError, UnicodeDecodeError, ContractError, VaultError) as error:
        raise ModelProblem(f"cannot use the calibration of {manifest.id}: {error}") from error


def _read(path: Path, manifest: Manifest) -> Calibration:
    found = parse_calibration(path.read_text("utf-8"), str(path))
    check_calibration(found, manifest, str(path))
    return found


def store(calibration: Calibration, manifest: Manifest) -> Path:
    """Store the user's own calibration of a pair; return its file.

    Raises:
        OutputLost: it cannot be written.
        VaultError: the device's directory cannot be made.
    """
    home()
    path = own_path(manifest)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, calibration.to_json().encode())
    except OSError as error:
        raise OutputLost(f"cannot write {path}: {error.strerror}") from error
    return path


def own_path(manifest: Manifest) -> Path:
    """Return where the user's own calibration of a pair is.

    Raises:
        VaultError: the user has no home directory, and $DUET_HOME is not set.
    """
    return home(create=False) / _FOLDER / f"{manifest.id}.json"
