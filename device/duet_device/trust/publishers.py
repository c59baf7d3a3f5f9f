"""Publishers whose pairs this device loads: their Ed25519 keys, pinned at enrollment or by hand."""

import json
from pathlib import Path

from duet_contract.errors import ContractError
from duet_contract.json_data import parse_json
from duet_contract.keys import PUBLIC_KEY_BYTES
from duet_contract.private_files import read_private, write_private
from duet_device.errors import ModelProblem
from duet_device.home import home

# The entry of keys that no server pinned.
BY_HAND = ""


def pin(server: str, keys: tuple[bytes, ...]) -> None:
    """Trust what these keys sign, in place of all that `server` had pinned before.

    Args:
        server: where they come from, as "host:port"; `BY_HAND` for the user's own choice.
        keys: raw 32-byte Ed25519 public keys; none of them unpins.

    Raises:
        ModelProblem: a key of another length, or the list cannot be read or written.
    """
    if any(len(key) != PUBLIC_KEY_BYTES for key in keys):
        raise ModelProblem(f"a publisher's key has {PUBLIC_KEY_BYTES} bytes (Ed25519)")
    pins = _load()
    pins.pop(server, None)
    if keys:
        pins[server] = tuple(dict.fromkeys(keys))
    content = {name: [key.hex() for key in held] for name, held in sorted(pins.items())}
    try:
        write_private(_file(), json.dumps(content, indent=2).encode("utf-8") + b"\n")
    except OSError as error:
        raise ModelProblem(f"cannot write {_file()}: {error.strerror}") from error


def pinned(server: str | None = None) -> tuple[bytes, ...]:
    """Raw keys that `server` pinned; those of every server and the user's own, if None.

    Raises:
        ModelProblem: the list cannot be read, or others may have written it.
    """
    pins = _load()
    if server is not None:
        return pins.get(server, ())
    return tuple(dict.fromkeys(key for keys in pins.values() for key in keys))


def pinned_by_server() -> dict[str, tuple[bytes, ...]]:
    """Return every pinned key, by the server that pinned it."""
    return _load()


def _file() -> Path:
    # `write_private` makes the directory; where none can be made, there is nothing to read.
    return home(create=False) / "publishers.json"


def _load() -> dict[str, tuple[bytes, ...]]:
    path = _file()
    try:
        content = parse_json(read_private(path))
        pins = {
            str(name): tuple(bytes.fromhex(key) for key in keys) for name, keys in content.items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ContractError as error:
        raise ModelProblem(str(error)) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        # An error, not an empty list, which would trust every pair.
        raise ModelProblem(
            f"the list of trusted publishers {path} cannot be read: {error}; "
            "restore it, or delete it and trust them again"
        ) from error
    if any(len(key) != PUBLIC_KEY_BYTES for keys in pins.values() for key in keys):
        raise ModelProblem(
            f"the list of trusted publishers {path} contains an entry that is not a key"
        )
    return pins
