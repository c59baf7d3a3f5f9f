"""A fresh key, the request to certify it, and the check of the certificate that comes back."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import IdentityProblem
from device.identity.credentials import Identity, seal_key


@dataclass(frozen=True)
class SigningRequest:
    """A new ECDSA P-256 key of this device."""

    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> "SigningRequest":
        """Makes the key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def to_der(self) -> bytes:
        """PKCS #10. It names nobody: the authority knows the name."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def identity(self, server: str, name: str, certificate: bytes, authority: bytes) -> Identity:
        """The identity that a certificate gives, its key sealed. Both certificates in DER.

        Raises:
            IdentityProblem: the certificate is not for this key, or not of this authority.
            VaultError: the key cannot be sealed.
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
        plain = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Identity(
            server,
            name,
            authority=issuer.public_bytes(serialization.Encoding.PEM).decode(),
            certificate=issued.public_bytes(serialization.Encoding.PEM).decode(),
            sealed_key=seal_key(server, plain),
            begins=issued.not_valid_before_utc.timestamp(),
            ends=issued.not_valid_after_utc.timestamp(),
        )
