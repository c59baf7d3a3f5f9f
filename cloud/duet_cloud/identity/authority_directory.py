"""The directory of a certificate authority: its files, and what can be read without its key.

| file | what |
|---|---|
| `authority.pem` | the authority's certificate, public |
| `authority.key` | its private key, encrypted (`duet_contract.encrypted_key`) |
| `registry.db` | devices, certificates, codes, publishers; absent with PostgreSQL |
| `server.pem` | the server's certificate and key, replaced before it ends |
"""

import datetime
import shlex
from contextlib import closing
from pathlib import Path

from cryptography import x509

from duet_cloud.errors import CredentialsError
from duet_cloud.identity import certificates
from duet_cloud.identity.database import Database
from duet_cloud.identity.registry import Registry
from duet_contract.enrollment_codes import fingerprint

CERTIFICATE_NAME = "authority.pem"
KEY_NAME = "authority.key"
REGISTRY_NAME = "registry.db"
MOVED = ".moved"
"""Ending of files whose records are in a database since."""
SERVER_NAME = "server.pem"
# The setting that says whose records a registry has.
_OWNER = "authority"
# When warnings about the authority's expiry begin: every device must enroll with the next one.
TELL_LEFT = datetime.timedelta(days=180)


def open_registry(directory: Path, url: str | None = None) -> Registry:
    """Return the registry of an authority's directory, brought to this version.

    `url`: of the PostgreSQL database that has it; None: it is in the directory.

    Raises:
        UsageError: the URL cannot be used.
        CredentialsError: the registry is missing, of a later version, or another authority's.
    """
    database = _registry_database(directory, url)
    try:
        database.migrate()
        return _owned(database, directory)
    except BaseException:
        database.close()
        raise


def check_registry(directory: Path, url: str | None = None) -> str:
    """Describe the version of what `open_registry` opens; change nothing.

    Raises:
        UsageError, CredentialsError: as `open_registry` does.
    """
    with closing(_registry_database(directory, url)) as database:
        described = database.check()
        _owned(database, directory)
    return described


def _owned(database: Database, directory: Path) -> Registry:
    """Return a database's registry, which is whole and of the authority in a directory."""
    registry = Registry(database)
    registry.setting("domain")
    _check_owner(registry, directory)
    return registry


def _registry_database(directory: Path, url: str | None) -> Database:
    """Return the database of a registry, in the version that it has."""
    if url is None:
        path = directory / REGISTRY_NAME
        if path.with_name(f"{path.name}{MOVED}").is_file() and not path.is_file():
            raise CredentialsError(
                f"the registry of {directory} was moved to a database: give --database, or set "
                "DUET_DATABASE"
            )
        if not path.is_file():
            missing = f"there is no registry {path}"
            if not (directory / CERTIFICATE_NAME).exists():
                raise CredentialsError(f"{missing}; {_made_by('init --host HOST', directory)}")
            raise CredentialsError(
                f"{missing}: name the database that replicas share (DUET_DATABASE), or restore the "
                "file from a backup"
            )
        database = Database.sqlite(path)
    else:
        database = Database.postgresql(url)
    try:
        if not database.has("settings"):
            raise CredentialsError(
                f"{database.name} has no registry of an authority: duet-cloud admin init, or move"
            )
    except BaseException:
        database.close()
        raise
    return database


def _check_owner(registry: Registry, directory: Path) -> None:
    """Check that a registry is of the authority in a directory.

    Raises:
        CredentialsError: it is another one's.
    """
    owner = registry.setting_or_none(_OWNER)
    # Registries of earlier versions do not say.
    if owner is not None and owner != _fingerprint(load_certificate(directory, even_ended=True)):
        raise CredentialsError(
            f"{registry.database.name} has the records of another authority than {directory}"
        )


def set_owner(registry: Registry, certificate: x509.Certificate) -> None:
    """Note whose records a registry has."""
    registry.set(_OWNER, _fingerprint(certificate))


def _fingerprint(certificate: x509.Certificate) -> str:
    return fingerprint(certificates.der(certificate)).hex()


def load_certificate(directory: Path, *, even_ended: bool = False) -> x509.Certificate:
    """Return the authority's certificate.

    Raises:
        CredentialsError: missing or malformed, or it has ended: nothing that it signed counts.
    """
    missing = f"there is no authority in {directory}"
    certificate = _first(directory / CERTIFICATE_NAME, missing, "init --host HOST")
    ends = certificate.not_valid_after_utc
    if not even_ended and _now() >= ends:
        raise CredentialsError(
            f"the authority in {directory} ended on {ends:%Y-%m-%d}: make another one "
            "(duet-cloud admin init) and let every device enroll with it"
        )
    return certificate


def near_end(certificate: x509.Certificate) -> str | None:
    """Return a warning about an authority's certificate that expires soon or has expired."""
    ends = certificate.not_valid_after_utc
    if _now() < ends - TELL_LEFT:
        return None
    return (
        f"the authority's certificate ends on {ends:%Y-%m-%d}, and all that it signed with it: "
        "make the next one before (docs/serving.md, Replace an authority)"
    )


def load_server_certificate(directory: Path) -> x509.Certificate:
    """Return the server's present certificate, expired or not.

    Raises:
        CredentialsError: missing or malformed.
    """
    path = directory / SERVER_NAME
    return _first(path, f"there is no {path}", "rotate --host HOST")


def _made_by(command: str, directory: Path) -> str:
    return f"make it with: duet-cloud admin {command} --dir {shlex.quote(str(directory))}"


def _first(path: Path, missing: str, command: str) -> x509.Certificate:
    """Return the first certificate of a file, which a command of `duet-cloud admin` makes."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CredentialsError(f"{missing}; {_made_by(command, path.parent)}") from error
    except OSError as error:
        raise CredentialsError(f"cannot read {path}: {error.strerror}") from error
    return certificates.load_chain(content, str(path))[0]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
