"""Decide whether a pair may be loaded: who signed it, and whether this device trusts them."""

import hashlib
from pathlib import Path

from duet_contract.builder import builder_public
from duet_contract.errors import ContractError
from duet_contract.keys import fingerprint
from duet_contract.manifest import MANIFEST_NAME, Manifest, parse_manifest
from duet_contract.signature import (
    enclosed_key,
    read_signature,
    signer_hint,
    verify_signature,
)
from duet_device.errors import ModelProblem, UntrustedPair
from duet_device.trust.publishers import BY_HAND, pinned, pinned_by_server

_SHOWN = 16


def check_signature(
    manifest_json: bytes, manifest: Manifest, signature: bytes | None, *, allow_unsigned: bool
) -> None:
    """Refuse a pair that no publisher trusted by this device has signed.

    Trusted are the publishers pinned at enrollment or by hand, and the user's own builds.

    Args:
        manifest_json: the manifest's bytes.
        manifest: the parsed manifest.
        signature: the content of `model.sig`; None if the pair has no signature.
        allow_unsigned: accept a pair without signature, or of an unknown signer, as long as no
            publisher is pinned.

    Raises:
        UntrustedPair: it may not be loaded.
        ModelProblem: the trusted keys cannot be read.
    """
    name = manifest.reference
    try:
        trusted = (*pinned(), *builder_public())
        known = {fingerprint(key) for key in trusted}
        if signature and signer_hint(signature) in known:
            verify_signature(manifest_json, manifest, signature, trusted)
            return
    except ContractError as error:
        raise UntrustedPair(str(error)) from error
    said = f"is signed by {_hint(signature)}, a key that this device does not trust" if signature else (
        "is not signed"
    )  # fmt: skip
    if pinned():
        raise UntrustedPair(f"{name} {said}; trust its publisher with: duet-device trust FILE")
    if not allow_unsigned:
        raise UntrustedPair(
            f"{name} {said}; trust its publisher with: duet-device trust FILE, or load it "
            "anyway with --allow-unsigned"
        )


def first_key(
    manifest_json: bytes, manifest: Manifest, signature: bytes | None, server: str
) -> bytes | None:
    """Return the publisher's key that a signature holds, for the user to trust on first use.

    Args:
        manifest_json: the manifest's bytes.
        manifest: the parsed manifest.
        signature: the content of `model.sig`; None if the pair has no signature.
        server: where the pair comes from.

    Returns:
        The key; None if the publisher is trusted already, if `server` or the user has named
        publishers, in whose place no other comes, or if there is no signature with a key.

    Raises:
        UntrustedPair: the signature is invalid.
        ModelProblem: the trusted keys cannot be read.
    """
    if signature is None or pinned(server) or pinned(BY_HAND):
        return None
    try:
        key = enclosed_key(signature)
        if key is None or key in (*pinned(), *builder_public()):
            return None
        return verify_signature(manifest_json, manifest, signature, (key,))
    except ContractError as error:
        raise UntrustedPair(str(error)) from error


def check_installed(directory: Path, manifest: Manifest, *, allow_unsigned: bool) -> None:
    """`check_signature` for a pair on this device; `manifest` is what was read of it before.

    Raises:
        UntrustedPair, ModelProblem: see `check_signature`.
    """
    path = directory / MANIFEST_NAME
    try:
        # Read once, so that what is verified is what was parsed.
        content = path.read_bytes()
        if parse_manifest(content.decode("utf-8"), str(path)) != manifest:
            raise ModelProblem(f"{path} was exchanged while it was read: try again")
        signature = read_signature(directory)
    except (OSError, UnicodeDecodeError, ContractError) as error:
        raise ModelProblem(f"cannot read the pair in {directory}: {error}") from error
    try:
        check_signature(content, manifest, signature, allow_unsigned=allow_unsigned)
    except UntrustedPair as error:
        raise UntrustedPair(f"{error}; or fetch a signed pair with: duet-device pull") from error


def signature_state(directory: Path, manifest: Manifest) -> str:
    """In a few words, for people: who signed an installed pair, and whether that holds."""
    try:
        check_installed(directory, manifest, allow_unsigned=False)
        signature = read_signature(directory)
    except (ModelProblem, ContractError):
        signature = _read(directory)
        if not signature:
            return "not signed"
        if _known_by(signer_hint(signature)):
            return "signature does not hold"
        return f"signed by {_hint(signature)}, not trusted"
    return f"signed by {_known_by(signer_hint(signature or b'')) or 'a trusted key'}"


def content_id(manifest_json: bytes) -> str:
    """Return the short name of a manifest's content."""
    return hashlib.sha256(manifest_json).hexdigest()[:_SHOWN]


def _read(directory: Path) -> bytes | None:
    try:
        return read_signature(directory)
    except ContractError:
        return None


def _hint(signature: bytes) -> str:
    hint = signer_hint(signature)
    plain = hint.isascii() and hint.isalnum()
    return f"{hint[:_SHOWN]}..." if plain else "an unnamed key"


def _known_by(hint: str) -> str:
    """Return why a signer is trusted; "" if it is not."""
    for key in builder_public():
        if fingerprint(key) == hint:
            return "this machine's builder"
    for server, keys in pinned_by_server().items():
        for key in keys:
            if fingerprint(key) == hint:
                return f"{hint[:_SHOWN]} ({f'pinned by {server}' if server else 'by hand'})"
    return ""
