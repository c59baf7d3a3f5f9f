"""Enrollment codes: what an operator hands to a device's user, once.

    code = "duet-" + base64url(sha256 of the authority's certificate (32 bytes) · secret (16 bytes)
                               · first 3 bytes of the sha256 of both)

With the fingerprint, the device identifies the authority before it trusts anything else. With the
secret, the authority identifies the device. The check distinguishes a typing error from an attack.
"""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass

from duet_contract.errors import EnrollmentCodeError

PREFIX = "duet-"
FINGERPRINT_BYTES = 32
SECRET_BYTES = 16
_CHECK_BYTES = 3


def fingerprint(certificate: bytes) -> bytes:
    """Return the SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` has it."""
    return hashlib.sha256(certificate).digest()


@dataclass(frozen=True)
class EnrollmentCode:
    """An enrollment code."""

    fingerprint: bytes
    """SHA-256 of the authority's certificate, 32 bytes."""
    secret: bytes
    """Single-use secret, 16 bytes."""

    @classmethod
    def new(cls, authority: bytes) -> "EnrollmentCode":
        """Return a fresh code for an authority, whose certificate (DER) is given."""
        return cls(fingerprint(authority), secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> "EnrollmentCode":
        """Return the code that `str` wrote.

        Raises:
            EnrollmentCodeError: the text is not an enrollment code, or was mistyped.
        """
        body = text.strip()
        if not body.startswith(PREFIX):
            raise EnrollmentCodeError(
                f"an enrollment code begins with {PREFIX!r}: the operator makes one with: "
                "duet-cloud admin invite NAME"
            )
        try:
            # By default the standard library's base64 drops characters that it does not know.
            standard = body.removeprefix(PREFIX).encode("ascii").translate(_TO_STANDARD)
            data = base64.b64decode(standard, validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise EnrollmentCodeError(
                "the enrollment code is incomplete: copy all of it"
            ) from error
        content, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if len(content) != FINGERPRINT_BYTES + SECRET_BYTES or _check(content) != check:
            raise EnrollmentCodeError("the enrollment code is incomplete: copy all of it")
        return cls(content[:FINGERPRINT_BYTES], content[FINGERPRINT_BYTES:])

    def __str__(self) -> str:
        content = self.fingerprint + self.secret
        # 51 bytes: no padding.
        return PREFIX + base64.urlsafe_b64encode(content + _check(content)).decode("ascii")

    def __repr__(self) -> str:
        # Codes must not end up in logs by accident.
        return f"EnrollmentCode({self.fingerprint.hex()[:16]}…)"


_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def _check(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECK_BYTES]
