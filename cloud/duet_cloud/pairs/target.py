"""The directory that a pair is built in; existing content is replaced only if it is a pair."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from duet_cloud.errors import PairBuildError
from duet_contract.builder import builder_key
from duet_contract.errors import ContractError
from duet_contract.json_data import read_json
from duet_contract.manifest import MANIFEST_NAME, MOST_MANIFEST_BYTES
from duet_contract.signature import sign_pair


@contextmanager
def replacing(target: Path, failed: str) -> Iterator[Path]:
    """Sign what the caller makes in a scratch directory, and put it in the target's place.

    The target appears whole or not at all.

    Args:
        target: from `vacant`.
        failed: start of the error where the contract refuses the pair.

    Yields:
        The scratch directory, which the caller creates.

    Raises:
        PairBuildError: the pair is refused, or cannot be written.
    """
    scratch = target.with_name(f".{target.name}.building-{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        yield scratch
        sign_pair(scratch, builder_key())
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    except ContractError as error:
        raise PairBuildError(f"{failed}: {error}") from error
    except OSError as error:
        raise PairBuildError(f"cannot write {target}: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
            f"{target} holds {held.name} and is not a pair: name a directory for the pair alone, "
            "or move away what is in it"
        )
    return target


def _is_pair(directory: Path) -> bool:
    """Of whichever schema; other programs' files are called manifest.json, too."""
    try:
        found = read_json(directory / MANIFEST_NAME, MOST_MANIFEST_BYTES)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"reasoner", "decoder"} <= found.keys()
