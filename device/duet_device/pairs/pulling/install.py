"""Install a pair's decoder: check the signature, then every byte, then move it in one step."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from duet_contract.errors import ContractError, IntegrityError
from duet_contract.integrity import verify_files
from duet_contract.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Manifest,
    load_manifest,
    parse_manifest,
)
from duet_contract.pairs import pairs_home
from duet_contract.private_files import open_locked
from duet_contract.signature import read_signature
from duet_contract.verified import Verified
from duet_device.errors import ModelProblem, UntrustedPair
from duet_device.pairs.pulling.source import MOST_MANIFEST_BYTES, Progress, Source, size_of
from duet_device.pairs.pulling.swap import put_in_place
from duet_device.trust.signatures import check_signature, content_id

_PARTS = ".pulling"
_SCRATCH = ".scratch-"
# Files of a killed process are deleted after a day.
_STALE_S = 86_400
# Space that a file system needs besides the files themselves.
_SPARE_BYTES = 16 << 20


@dataclass(frozen=True)
class Offer:
    """A pair as its source describes it; what `look` returns has a checked signature."""

    manifest: Manifest
    """The parsed manifest."""
    manifest_json: bytes
    """The manifest as the source sent it."""
    signature: bytes | None
    """The signature as the source sent it; None if the pair is not signed."""

    @property
    def bytes(self) -> int:
        """Size of the files that the device needs."""
        return sum(file.bytes for file in self.manifest.device_files)


def look(
    source: Source,
    wanted: str,
    *,
    allow_unsigned: bool,
    consent: Callable[[Offer], None] | None = None,
) -> Offer:
    """Return what a source offers; refuse it unless a trusted publisher signed it.

    Args:
        source: the source of the pair.
        wanted: "id@version" or "id"; "" accepts any pair.
        allow_unsigned: see `duet_device.trust.signatures.check_signature`.
        consent: called with the offer before its signature is checked, unless any is accepted;
            may trust its publisher.

    Raises:
        UntrustedPair: not signed, signed by an unknown key, modified, or not the wanted pair.
        ModelProblem: its manifest cannot be used.
    """
    content, signature = source.describe()
    if len(content) > MOST_MANIFEST_BYTES:
        raise UntrustedPair(f"the manifest of {source.name} is too large to be one")
    try:
        manifest = parse_manifest(content.decode("utf-8"), f"the manifest of {source.name}")
    except (UnicodeDecodeError, ContractError) as error:
        raise ModelProblem(str(error)) from error
    if wanted and not manifest.matches(wanted):
        raise UntrustedPair(f"{source.name} gave {manifest.reference} in place of {wanted}")
    offer = Offer(manifest, content, signature)
    if consent and not allow_unsigned:
        consent(offer)
    check_signature(content, manifest, signature, allow_unsigned=allow_unsigned)
    return offer


def is_installed(offer: Offer) -> bool:
    """Return whether exactly this offer is on the device already, unmodified."""
    directory = pairs_home() / offer.manifest.id
    try:
        if (directory / MANIFEST_NAME).read_bytes() != offer.manifest_json:
            return False
        if read_signature(directory) != offer.signature:
            return False
        _verify(directory, offer.manifest)
    except (OSError, ContractError):
        return False
    return True


def check_replacement(offer: Offer, *, allow_downgrade: bool) -> None:
    """Refuse to replace the installed pair by an older version or by a decoder alone.

    Raises:
        UntrustedPair: the offer is older, and a downgrade is not allowed.
        ModelProblem: the installed pair was built here, with its reasoner, or cannot be read.
    """
    directory = pairs_home() / offer.manifest.id
    if not directory.exists() and not directory.is_symlink():
        return
    try:
        held = load_manifest(directory)
    except ContractError as error:
        # It may be newer, or hold a reasoner: not to be deleted unseen.
        raise ModelProblem(
            f"{directory} holds something that cannot be read ({error}), which a pull would "
            "delete: move it elsewhere, or delete it"
        ) from error
    if (directory / held.reasoner.path).exists():
        raise ModelProblem(
            f"{directory} holds {held.reference} with its reasoner, which a pull would delete: "
            "move it elsewhere, or remove it with: duet-device rm " + held.id
        )
    if offer.manifest.version_numbers < held.version_numbers and not allow_downgrade:
        raise UntrustedPair(
            f"{offer.manifest.reference} is older than {held.reference}, which is installed: an "
            "older version may have faults that are fixed since; install it anyway with "
            "--allow-downgrade"
        )


def install(source: Source, offer: Offer, progress: Progress) -> Path:
    """Fetch missing files, check every file, and install the pair; return its directory.

    Interrupted downloads resume. No file is loaded, and no file on the device is replaced, before
    all files are checked. The caller holds the pair's lock (`alone`).

    Raises:
        UntrustedPair: a file is not what the manifest says.
        ModelProblem: no space, or it cannot be written.
        CloudUnreachable, CloudRefused: the source failed; received data is stored.
    """
    manifest = offer.manifest
    home = pairs_home()
    parts = parts_home() / f"{manifest.id}@{manifest.version}-{content_id(offer.manifest_json)}"
    try:
        parts.mkdir(parents=True, exist_ok=True)
        _check_space(offer, parts)
        for file in manifest.device_files:
            target = parts / file.path
            _check_own(parts, target)
            target.parent.mkdir(parents=True, exist_ok=True)
            _drop_if_too_large(target, file.bytes)
            progress(size_of(target))
            source.fetch(manifest.reference, file, target, progress)
            _sync(target)
        try:
            _verify(parts, manifest)
        except IntegrityError as error:
            for file in manifest.device_files:
                (parts / file.path).unlink(missing_ok=True)
            raise UntrustedPair(f"{source.name} sent what was not signed: {error}") from error
        _write(parts / MANIFEST_NAME, offer.manifest_json)
        if offer.signature is not None:
            _write(parts / SIGNATURE_NAME, offer.signature)
        put_in_place(parts, home / manifest.id)
        discard_parts(manifest.id)
    except OSError as error:
        raise ModelProblem(f"cannot install {manifest.reference} in {home}: {error}") from error
    return home / manifest.id


def parts_home() -> Path:
    """Return the directory of downloads, next to the pairs, so that a rename installs a pair."""
    return pairs_home() / _PARTS


def make_scratch() -> Path:
    """Create a temporary directory for a source that has to store files first.

    Raises:
        ModelProblem: it cannot be created.
    """
    try:
        parts_home().mkdir(parents=True, exist_ok=True)
        for left in parts_home().glob(f"{_SCRATCH}*"):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=parts_home(), prefix=_SCRATCH))
    except OSError as error:
        raise ModelProblem(f"cannot write {parts_home()}: {error.strerror}") from error


def tidy(pair: str) -> None:
    """Delete what a killed pull left of a pair that is installed; nothing while another runs."""
    with suppress(ModelProblem), alone(pair):
        discard_parts(pair)


def discard_parts(pair: str) -> None:
    """Delete partial downloads of a pair."""
    for left in parts_home().glob(f"{pair}@*"):
        shutil.rmtree(left, ignore_errors=True)


def _verify(directory: Path, manifest: Manifest) -> None:
    gguf = (manifest.decoder.path,)
    verify_files(directory, manifest.device_files, gguf=gguf, verified=Verified())


def _check_space(offer: Offer, parts: Path) -> None:
    held = sum(size_of(parts / file.path) for file in offer.manifest.device_files)
    needed, free = offer.bytes - held + _SPARE_BYTES, shutil.disk_usage(parts).free
    if needed > free:
        raise ModelProblem(
            f"{offer.manifest.reference} needs {needed / 1e6:,.0f} MB in {parts.parent.parent}, "
            f"{free / 1e6:,.0f} MB are free: make room, or set $DUET_PAIRS to another disk"
        )


def _check_own(parts: Path, target: Path) -> None:
    """Refuse links in the path of the download."""
    for place in (target, *target.relative_to(parts).parents):
        if (parts / place).is_symlink():
            raise UntrustedPair(f"{parts / place} is a link that no pull made: delete it")


def _drop_if_too_large(target: Path, size: int) -> None:
    if size_of(target) > size:
        target.unlink()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Write a file to disk (fsync), since a verified file is not hashed again after a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def alone(pair: str) -> Iterator[None]:
    """Lock a pair for this process, so that no other process fetches or replaces it.

    Raises:
        ModelProblem: another process holds the lock, or the directory cannot be written.
    """
    try:
        parts_home().mkdir(parents=True, exist_ok=True)
        handle = open_locked(parts_home() / f"{pair}.lock")
    except BlockingIOError as error:
        raise ModelProblem(f"another pull of {pair} is running: wait for it") from error
    except OSError as error:
        raise ModelProblem(f"cannot write {parts_home()}: {error.strerror}") from error
    try:
        yield
    finally:
        os.close(handle)
