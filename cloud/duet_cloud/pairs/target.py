"""The directory that a pair is built in; existing content is replaced only if it is a pair."""

from pathlib import Path

from duet_cloud.errors import PairBuildError
from duet_contract.json_data import read_json
from duet_contract.manifest import MANIFEST_NAME, MOST_MANIFEST_BYTES


def vacant(target: Path) -> Path:
    """Return the target as an absolute path: missing, empty, or an earlier pair to be replaced.

    Raises:
        PairBuildError: it holds anything else, which would be lost.
    """
    try:
        # A link stays, and what it names is replaced.
        target = target.resolve()
        held = next(target.iterdir(), None)
    except FileNotFoundError:
        return target
    except OSError as error:
        raise PairBuildError(f"cannot write {target}: {error.strerror}") from error
    if held is not None and not _is_pair(target):
        raise PairBuildError(
            f"{target} holds {held.name} and is no pair: name a directory of the pair's own, "
            "or move away what lies there"
        )
    return target


def _is_pair(directory: Path) -> bool:
    """Of whichever schema; other programs' files are called manifest.json, too."""
    try:
        found = read_json(directory / MANIFEST_NAME, MOST_MANIFEST_BYTES)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"reasoner", "decoder"} <= found.keys()
