"""A fresh key, the request to certify it, and the check of the certificate that comes back."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from duet_device.errors import IdentityProblem
from duet_device.identity.credentials import Identity, encrypt_key, key_purpose


@dataclass(frozen=True)
class SigningRequest:
    """An ECDSA P-256 key of this device, and the request to certify it."""

    key: ec.EllipticCurvePrivateKey
    """The private key; never sent."""
    der: bytes
    """PKCS #10. It has an empty name, since the authority knows the name."""

    @classmethod
    def new(cls) -> "SigningRequest":
        """Make the key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, hashes.SHA256())
        return cls(key, request.public_bytes(serialization.Encoding.DER))

    @classmethod
    def load(cls, key: bytes, der: bytes) -> "SigningRequest":
        """Read what `key_pem` and `der` gave.

        Raises:
            ValueError: one is malformed, or they do not belong together.
        """
        private = serialization.load_pem_private_key(key, None)
        if (
            not isinstance(private, ec.EllipticCurvePrivateKey)
            or x509.load_der_x509_csr(der).public_key() != private.public_key()
        ):
            raise ValueError("the request is not for this key")
        return cls(private, der)

    def key_pem(self) -> bytes:
        """Return the private key, PEM (PKCS #8), not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def identity(self, server: str, name: str, certificate: bytes, authority: bytes) -> Identity:
        """Return the identity of a certificate, with its key encrypted. Both certificates are DER.

        Raises:
            IdentityProblem: the certificate is not for this key, or not of this authority.
            VaultError: the key cannot be encrypted.
        """
        try:
            issued = x509.load_der_x509_certificate(certificate)
            issuer = x509.load_der_x509_certificate(authority)
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise IdentityProblem(
                f"the certificate from {server} is not one of its authority"
            ) from error
        if issued.public_key() != self.key.public_key():
            raise IdentityProblem(f"the certificate from {server} is not for this device's key")
        return Identity(
            server,
            name,
            authority=issuer.public_bytes(serialization.Encoding.PEM).decode(),
            certificate=issued.public_bytes(serialization.Encoding.PEM).decode(),
            encrypted_key=encrypt_key(key_purpose(server), self.key_pem()),
            begins=issued.not_valid_before_utc.timestamp(),
            ends=issued.not_valid_after_utc.timestamp(),
        )
