"""Store keys in the system's keyring: Secret Service, KWallet, Keychain."""

from typing import Any

from duet_device.errors import Interrupted, VaultError, VaultLocked

SERVICE = "duet-device"


def put(name: str, key: bytes) -> bool:
    """Store a key; return whether a keyring accepted it and returns it."""
    backend = _backend()
    if backend is None:
        return False
    # Backends raise what their platform raises, besides keyring's own errors.
    try:
        backend.set_password(SERVICE, name, key.hex())
        return bool(backend.get_password(SERVICE, name) == key.hex())
    except Interrupted:
        # Ctrl-C at the keyring's dialog.
        raise
    except Exception:
        return False


def take(name: str) -> bytes:
    """Return the key stored under a name; empty if the stored value is not a key.

    Raises:
        VaultLocked: no keyring can be reached, or it stays locked.
        VaultError: the keyring does not have the key.
    """
    backend = _backend()
    if backend is None:
        raise VaultLocked(
            "the vault's key is in the system's keyring, which cannot be reached here"
        )
    try:
        kept = backend.get_password(SERVICE, name)
    except Interrupted:
        raise
    except Exception as error:
        raise VaultLocked(f"the system's keyring does not give the vault's key: {error}") from error
    if kept is None:
        raise VaultError(f"the system's keyring does not have the vault's key ({SERVICE} {name})")
    try:
        return bytes.fromhex(kept)
    except ValueError:
        return b""


def remove(name: str) -> None:
    """Delete a key, if the keyring has it."""
    backend = _backend()
    if backend is None:
        return
    try:
        backend.delete_password(SERVICE, name)
    except Interrupted:
        raise
    except Exception:
        return


def _backend() -> Any:
    """Return the keyring in use; None if no keyring stores secrets."""
    import keyring

    chosen = keyring.get_keyring()
    # Several at once are a chain; the first would be asked in any case.
    for backend in getattr(chosen, "backends", [chosen]):
        # keyrings.alt keeps secrets in files, some in plain text; `fail` and `null` keep none.
        kind = type(backend).__module__
        if backend.priority > 0 and not kind.startswith(("keyrings.alt", "keyring.backends.null")):
            return backend
    return None
