"""Store an enrollment from before its code is sent until its certificate is stored.

The same code sends the same signing request again, and a cloud answers it with the same
certificate. So the code stays usable after a broken connection or a full disk.
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from duet_contract.enrollment_codes import EnrollmentCode
from duet_contract.json_data import read_json
from duet_contract.private_files import drop_scratch, write_private
from duet_device.errors import IdentityProblem, VaultError, VaultLocked
from duet_device.home import home
from duet_device.identity.credentials import decrypt_key, encrypt_key
from duet_device.identity.signing_request import SigningRequest

_SCHEMA = 1
# An identity takes about 4 kB, a publisher about 100 bytes.
_RESERVED_BYTES = 64 * 1024


@dataclass(frozen=True)
class PendingEnrollment:
    """A key and its signing request, on disk."""

    path: Path
    """The file that holds both, the key encrypted."""
    request: SigningRequest
    """What is sent with the code."""

    @classmethod
    def begin(cls, code: EnrollmentCode) -> Self:
        """Return the enrollment that was begun with this code, or begin one.

        Space for what an enrollment stores is occupied until `release`.

        Raises:
            IdentityProblem: it cannot be written.
            VaultError: the key cannot be encrypted.
        """
        mark = hashlib.sha256(b"duet enrollment" + code.secret).hexdigest()[:24]
        path = home() / "enrollments" / f"{mark}.json"
        begun = _read(path)
        pending = cls(path, begun or SigningRequest.new())
        try:
            if begun is None:
                write_private(path, pending._content())
            # Random, so that no file system compresses it.
            write_private(pending._reserved, secrets.token_bytes(_RESERVED_BYTES))
        except OSError as error:
            raise IdentityProblem(
                f"cannot write {path.parent}: {error.strerror}; the code was not used: make room, "
                "then repeat this command"
            ) from error
        return pending

    def release(self) -> None:
        """Free the space that was occupied."""
        self._reserved.unlink(missing_ok=True)

    def end(self) -> None:
        """Delete the enrollment, once its certificate is stored or its code was refused."""
        self.release()
        self.path.unlink(missing_ok=True)
        for path in (self.path, self._reserved):
            drop_scratch(path)

    @property
    def _reserved(self) -> Path:
        return self.path.with_suffix(".reserved")

    def _content(self) -> bytes:
        encrypted = encrypt_key(_purpose(self.path), self.request.key_pem())
        data = {
            "schema": _SCHEMA,
            "key": base64.b64encode(encrypted).decode("ascii"),
            "request": base64.b64encode(self.request.der).decode("ascii"),
        }
        return json.dumps(data).encode() + b"\n"


def _read(path: Path) -> SigningRequest | None:
    """Return the request of an enrollment that was begun; None if it is missing or unreadable."""
    try:
        data = read_json(path)
        key = decrypt_key(_purpose(path), base64.b64decode(data["key"], validate=True))
        return SigningRequest.load(key, base64.b64decode(data["request"], validate=True))
    except VaultLocked:
        raise
    except (OSError, ValueError, KeyError, TypeError, VaultError):
        return None


def _purpose(path: Path) -> str:
    return f"enrollment {path.stem}"
