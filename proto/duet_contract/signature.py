"""A pair's signature: `model.sig`, as the OpenSSF model-signing convention lays it out.

A Sigstore bundle (v0.3) holds a DSSE envelope; its payload is an in-toto statement that lists the
SHA-256 of every file of the pair, the manifest among them. The key is Ed25519, named by its
fingerprint (`duet_contract.keys.fingerprint`) and part of the statement, so that a device can pin
it on first use.
See https://github.com/ossf/model-signing-spec and https://docs.sigstore.dev/about/bundle/.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from duet_contract.errors import ContractError, SignatureError
from duet_contract.integrity import sha256_of, verify_files
from duet_contract.json_data import parse_json
from duet_contract.keys import fingerprint, public_bytes
from duet_contract.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Manifest,
    load_manifest,
)

# A resource takes about 150 bytes; the largest models have some hundred files.
MOST_SIGNATURE_BYTES = 1 << 20

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"


def sign_pair(directory: Path, key: Ed25519PrivateKey) -> Manifest:
    """Check every file of a pair against its manifest, then write its signature.

    Raises:
        ContractError: the pair is not what its manifest says.
        SignatureError: the signature cannot be written.
    """
    manifest = load_manifest(directory)
    files = manifest.files
    verify_files(directory, files)
    digests = {file.path: file.sha256 for file in files}
    digests[MANIFEST_NAME] = sha256_of(directory / MANIFEST_NAME)
    path = directory / SIGNATURE_NAME
    scratch = path.with_name(f".{SIGNATURE_NAME}.new")
    try:
        scratch.write_bytes(_bundle(manifest.reference, digests, key))
        scratch.replace(path)
    except OSError as error:
        raise SignatureError(f"cannot write {path}: {error.strerror}") from error
    return manifest


def read_signature(directory: Path) -> bytes | None:
    """Return the content of a pair's signature; None if the pair is not signed.

    Raises:
        SignatureError: the signature exists and cannot be read.
    """
    path = directory / SIGNATURE_NAME
    try:
        with path.open("rb") as file:
            return file.read(MOST_SIGNATURE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SignatureError(f"cannot read {path}: {error.strerror}") from error


def verify_signature(
    manifest_json: bytes, manifest: Manifest, signature: bytes, trusted: Iterable[bytes]
) -> bytes:
    """Check that one of the `trusted` keys (raw, 32 bytes each) signed this very pair.

    Args:
        manifest_json: the bytes of the pair's `manifest.json`.
        manifest: the parsed manifest.
        signature: `model.sig`.
        trusted: keys of publishers.

    Returns:
        The key.

    Raises:
        SignatureError: malformed, of another key, or not over this manifest and these files.
    """
    envelope, hint = _open_bundle(signature)
    payload = _base64(envelope.get("payload"))
    if envelope.get("payloadType") != _PAYLOAD_TYPE:
        raise SignatureError("the pair's signature is not over an in-toto statement")
    key = _signer(envelope, payload, hint, trusted)
    digests = _digests(payload)
    name = manifest.reference
    if digests.get(MANIFEST_NAME) != hashlib.sha256(manifest_json).hexdigest():
        raise SignatureError(f"the manifest of {name} was altered after it was signed")
    for file in manifest.files:
        if digests.get(file.path) != file.sha256:
            raise SignatureError(f"{file.path} of {name} is not what was signed")
    return key


def signer_hint(signature: bytes) -> str:
    """Return the fingerprint that a signature names, not verified; "" if it names none."""
    try:
        return _open_bundle(signature)[1]
    except SignatureError:
        return ""


def enclosed_key(signature: bytes) -> bytes | None:
    """Return the signer's public key as the signature itself states it, not verified.

    `verify_signature` with this key says that its owner signed the pair, not who that is.

    Returns:
        The raw key; None if it is missing, or not the one that the signature names.
    """
    try:
        envelope, hint = _open_bundle(signature)
        statement = _object(_json(_base64(envelope.get("payload"))))
        key = bytes.fromhex(_object(statement.get("predicate")).get("publicKey", ""))
        return key if fingerprint(key) == hint else None
    except (ContractError, TypeError, ValueError):
        return None


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is really signed."""
    return b"DSSEv1 %d %s %d %s" % (
        len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload
    )  # fmt: skip


def _root_digest(digests: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def _bundle(name: str, digests: dict[str, str], key: Ed25519PrivateKey) -> bytes:
    resources = [
        {"name": path, "algorithm": "sha256", "digest": digests[path]} for path in sorted(digests)
    ]
    root = _root_digest(resource["digest"] for resource in resources)
    statement = {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_NAME],
            },
            "publicKey": public_bytes(key).hex(),
            "resources": resources,
        },
    }
    payload = json.dumps(statement, separators=(",", ":"), sort_keys=True).encode("utf-8")
    signed = key.sign(_pae(payload))
    bundle = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": fingerprint(public_bytes(key))},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signed).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode("utf-8") + b"\n"


def _open_bundle(signature: bytes) -> tuple[dict[str, Any], str]:
    """Return the envelope, and the fingerprint that the bundle names."""
    if len(signature) > MOST_SIGNATURE_BYTES:
        raise SignatureError("the pair's signature is too large to be one")
    bundle = _object(_json(signature))
    if bundle.get("mediaType") != _MEDIA_TYPE:
        raise SignatureError("the pair's signature is not a Sigstore bundle of version 0.3")
    material = _object(bundle.get("verificationMaterial"))
    hint = _object(material.get("publicKey")).get("hint", "")
    if not isinstance(hint, str):
        raise SignatureError("the pair's signature is malformed")
    return _object(bundle.get("dsseEnvelope")), hint


def _signer(envelope: dict[str, Any], payload: bytes, hint: str, trusted: Iterable[bytes]) -> bytes:
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise SignatureError("the pair's signature is malformed: it must have one signer")
    signed = _base64(_object(signatures[0]).get("sig"))
    candidates = [key for key in trusted if not hint or fingerprint(key) == hint]
    if not candidates:
        raise SignatureError(
            f"the pair is signed by {hint or 'a key'} that this device does not trust"
        )
    for key in candidates:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signed, _pae(payload))
        except InvalidSignature:
            continue
        return key
    raise SignatureError("the pair's signature does not hold: it, or what it signs, was altered")


def _digests(payload: bytes) -> dict[str, str]:
    """Return the SHA-256 of each path in a statement whose signature is valid."""
    statement = _object(_json(payload))
    predicate = _object(statement.get("predicate"))
    kinds = (statement.get("_type"), statement.get("predicateType"))
    serialization = _object(predicate.get("serialization"))
    if kinds != (_STATEMENT_TYPE, _PREDICATE_TYPE) or serialization.get("method") != "files":
        raise SignatureError("the pair's signature is over another kind of statement")
    try:
        listed = [
            (resource["name"], resource["digest"])
            for resource in predicate["resources"]
            if resource["algorithm"] == "sha256"
        ]
        (subject,) = statement["subject"]
        whole = len(listed) == len(predicate["resources"]) == len(dict(listed))
        if not whole or _root_digest(digest for _, digest in listed) != subject["digest"]["sha256"]:
            raise SignatureError("the pair's signature contradicts itself")
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureError("the pair's signature is malformed") from error
    return dict(listed)


def _json(data: bytes) -> object:
    try:
        parsed: object = parse_json(data)
    except ValueError as error:
        raise SignatureError("the pair's signature is not JSON") from error
    return parsed


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SignatureError("the pair's signature is malformed")
    return value


def _base64(value: object) -> bytes:
    try:
        return base64.b64decode(value, validate=True)  # type: ignore[arg-type]
    except (binascii.Error, TypeError, ValueError) as error:
        raise SignatureError("the pair's signature is malformed") from error
