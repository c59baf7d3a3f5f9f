"""The access file (TOML): limits for each identity; with your own PKI, also roles by URI name.

denied = ["spiffe://example.org/laptop/7"]     # your own PKI: never admitted

[roles]                                         # your own PKI: URI names; /* for all below
"spiffe://example.org/laptop/*" = ["inference"]

[limits.default]                                # each of the three may be left out
rate = 60                                       # questions in any 60 seconds
concurrency = 4                                 # questions at a time
tokens = 200000                                 # prompt and signal tokens a day (UTC)

[limits."laptop"]                               # one identity; what it leaves out is default's
tokens = 1000000
"""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from duet_cloud.errors import CredentialsError
from duet_cloud.identity.roles import Role
from duet_contract.json_data import faults, read_text

_Count = Annotated[int, Field(ge=0, le=2**53, strict=True)]
DEFAULT = "default"
_MOST_BYTES = 1 << 20


class IdentityLimits(BaseModel):
    """Limits of one identity; None: no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: _Count | None = None
    """Questions in any 60 seconds."""
    concurrency: _Count | None = None
    """Questions at a time."""
    tokens: _Count | None = None
    """Prompt and signal tokens per day (UTC)."""


class Access(BaseModel):
    """Content of the access file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    denied: frozenset[str] = frozenset()
    """URI names that are never admitted; only with your own PKI."""
    roles: dict[str, frozenset[Role]] = {}
    """Roles of URI names, or of all names below a prefix that ends in `/*`; only with your own
    PKI."""
    limits: dict[str, IdentityLimits] = {}
    """Limits by identity; those of `default` apply to every identity that sets none."""

    @field_validator("roles")
    @classmethod
    def _names_are_uris(cls, roles: dict[str, frozenset[Role]]) -> dict[str, frozenset[Role]]:
        for name in roles:
            if "://" not in name or "*" in name.removesuffix("/*"):
                raise ValueError(f"{name!r} is not a URI, nor a URI prefix that ends in /*")
        return roles

    def limits_of(self, name: str) -> IdentityLimits:
        """Return the limits in force for an identity."""
        default = self.limits.get(DEFAULT, IdentityLimits())
        own = self.limits.get(name)
        if own is None:
            return default
        return default.model_copy(update=own.model_dump(exclude_unset=True))

    def roles_of(self, uri: str) -> frozenset[Role]:
        """Return the roles of a URI name: of its own entry, else of the longest prefix entry."""
        if uri in self.denied:
            return frozenset()
        if uri in self.roles:
            return self.roles[uri]
        # By name, not by looking through all entries: of every running call, twice a second.
        end = len(uri)
        while (end := uri.rfind("/", 0, end)) >= 0:
            if (prefix := f"{uri[:end]}/*") in self.roles:
                return self.roles[prefix]
        return frozenset()


def load_access(path: Path) -> Access:
    """Read the file.

    Raises:
        CredentialsError: unreadable, no TOML, or with an entry that is unknown or malformed.
    """
    try:
        return Access.model_validate(tomllib.loads(read_text(path, _MOST_BYTES)))
    except ValidationError as error:
        raise CredentialsError(f"{path}: {_fault(error)}") from error
    except RecursionError as error:
        raise CredentialsError(f"cannot read the access file {path}: nested too deeply") from error
    except (OSError, ValueError) as error:
        raise CredentialsError(f"cannot read the access file {path}: {error}") from error


def _fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    if fault["type"] != "extra_forbidden":
        return faults(error, "access", 1)
    *places, key = map(str, fault["loc"])
    known = IdentityLimits.model_fields if places else Access.model_fields
    near = get_close_matches(key, known, 1) or [", ".join(known)]
    return f"{'.'.join([*places, key])} is unknown; did you mean {near[0]}?"


class AccessFile:
    """The access file, read again when it changes; an unreadable change has no effect."""

    def __init__(self, path: Path | None, *, may_lack: bool = False) -> None:
        """Read the file; without one, no one has a role or a limit.

        `may_lack`: the file may be written later; then it counts as soon as it is there.

        Raises:
            CredentialsError: see `load_access`.
        """
        self.path = path
        self._seen = self._signature()
        if path is None or (may_lack and not path.exists()):
            self.access = Access()
        else:
            self.access = load_access(path)

    def refresh(self) -> bool:
        """Read the file if it changed; return whether it did.

        Raises:
            CredentialsError: it changed and cannot be read, or is missing; raised once a change.
        """
        seen = self._signature()
        if self.path is None or seen == self._seen:
            return False
        self._seen = seen
        self.access = load_access(self.path)
        return True

    def _signature(self) -> tuple[int, ...]:
        try:
            found = self.path.stat() if self.path else None
        except OSError:
            found = None
        return (found.st_ino, found.st_size, found.st_mtime_ns) if found else ()
