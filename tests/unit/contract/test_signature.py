"""Signatures: what holds, and everything that does not."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.errors import IntegrityError, SignatureError
from duet_contract.keys import fingerprint, public_bytes
from duet_contract.manifest import MANIFEST_NAME, SIGNATURE_NAME, parse_manifest
from duet_contract.signature import (
    read_signature,
    sign_pair,
    signer_hint,
    verify_signature,
)
from tests.doubles.small_pairs import write_pair

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
TRUSTED = [public_bytes(KEY)]


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("signed") / "pair"
    write_pair(directory, KEY)
    return (directory / MANIFEST_NAME).read_bytes(), (directory / SIGNATURE_NAME).read_bytes()


def verify(manifest, signature, trusted=TRUSTED):
    return verify_signature(manifest, parse_manifest(manifest.decode()), signature, trusted)


def statement(signature):
    return json.loads(base64.b64decode(json.loads(signature)["dsseEnvelope"]["payload"]))


def test_it_holds(signed):
    assert verify(*signed) == public_bytes(KEY)
    assert verify(*signed, trusted=[public_bytes(OTHER), *TRUSTED]) == public_bytes(KEY)
    assert signer_hint(signed[1]) == fingerprint(public_bytes(KEY))


def test_it_follows_the_convention(signed):
    bundle, content = json.loads(signed[1]), statement(signed[1])
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    assert content["predicateType"] == "https://model_signing/signature/v1.0"
    assert [resource["name"] for resource in content["predicate"]["resources"]] == [
        "decoder/m.gguf", "manifest.json", "reasoner/a.json"
    ]  # fmt: skip


def test_another_key(signed):
    with pytest.raises(SignatureError, match="does not trust"):
        verify(*signed, trusted=[public_bytes(OTHER)])


def test_nobody_is_trusted(signed):
    with pytest.raises(SignatureError, match="does not trust"):
        verify(*signed, trusted=[])


def test_another_key_under_the_trusted_ones_name(signed, tmp_path):
    write_pair(tmp_path / "pair", OTHER)
    forged = json.loads(read_signature(tmp_path / "pair"))
    forged["verificationMaterial"]["publicKey"]["hint"] = fingerprint(public_bytes(KEY))
    with pytest.raises(SignatureError, match="does not hold"):
        verify(signed[0], json.dumps(forged).encode())


def test_a_signature_of_another_version(signed, tmp_path):
    write_pair(tmp_path / "pair", KEY, version="2.0.0")
    with pytest.raises(SignatureError, match="was altered"):
        verify(signed[0], read_signature(tmp_path / "pair"))


def test_altered_statement(signed):
    bundle = json.loads(signed[1])
    content = statement(signed[1])
    content["predicate"]["resources"][0]["digest"] = "0" * 64
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(content).encode()).decode()
    with pytest.raises(SignatureError, match="does not hold"):
        verify(signed[0], json.dumps(bundle).encode())


def test_a_statement_of_another_kind(signed):
    bundle = json.loads(signed[1])
    bundle["dsseEnvelope"]["payloadType"] = "text/plain"
    with pytest.raises(SignatureError, match="in-toto"):
        verify(signed[0], json.dumps(bundle).encode())


@pytest.mark.parametrize(
    "signature",
    [b"", b"x", b"[]", b"{}", b"null", b'{"mediaType": 1}', b"[" * 100_000, b"\xff", b" " * 2**21],
)
def test_what_is_no_signature(signed, signature):
    with pytest.raises(SignatureError):
        verify(signed[0], signature)
    assert signer_hint(signature) == ""


@pytest.mark.parametrize("signers", [0, 2])
def test_not_one_signer(signed, signers):
    bundle = json.loads(signed[1])
    bundle["dsseEnvelope"]["signatures"] *= signers
    with pytest.raises(SignatureError, match="one signer"):
        verify(signed[0], json.dumps(bundle).encode())


@given(st.data())
def test_a_flipped_byte_never_makes_another_pair_pass(signed, data):
    """A flip that changes no meaning (in the JSON's blanks, say) may pass; what is signed stays."""
    manifest, signature = signed
    flipped = bytearray(signature)
    flipped[data.draw(st.integers(0, len(signature) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        verify(manifest, bytes(flipped))
    except SignatureError:
        return
    assert statement(bytes(flipped)) == statement(signature)


def test_a_pair_that_is_not_what_its_manifest_says_is_not_signed(tmp_path):
    write_pair(tmp_path / "pair")
    (tmp_path / "pair" / "reasoner" / "a.json").write_text("[]")
    with pytest.raises(IntegrityError, match="altered"):
        sign_pair(tmp_path / "pair", KEY)
    assert read_signature(tmp_path / "pair") is None
