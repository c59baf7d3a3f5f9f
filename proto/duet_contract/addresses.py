"""Addresses of servers, HOST:PORT, as every command and program of the project takes them."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

from duet_contract.errors import AddressError

EXAMPLES = "cloud.example.org:50151, 192.0.2.7:50151 or [2001:db8::7]:50151"
MOST_PORT = 65535
_MOST_NAME = 253
# RFC 1123 labels; the underscore is not in it, but in names that container networks give.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# A name whose last label looks like a number is an IPv4 address or nothing (WHATWG URL, 3.5).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Examples:
        >>> str(Address.parse(" LocalHost:050151 "))
        'localhost:50151'
        >>> Address.parse("[::1]:50151").is_loopback
        True
    """

    host: str
    """DNS name in lower case, IPv4 address, or IPv6 address without brackets."""
    port: int
    """TCP port, 1 to 65535; 0 (a free port) only if `parse` was called with `free_port`."""

    @classmethod
    def parse(cls, text: str, *, free_port: bool = False) -> Self:
        """Read HOST:PORT, and [HOST]:PORT for an IPv6 address.

        Blanks around it, upper case and a final dot of a name are ignored.

        Args:
            text: the address as a user typed it.
            free_port: accept port 0, with which a server listens on a free port.

        Raises:
            AddressError: the text is not such an address.
        """
        host, colon, port = text.strip().rpartition(":")
        if not colon or not host:
            raise _error(text, "no port" if host or port else "empty")
        if not (port.isascii() and port.isdecimal() and len(port) <= 9):
            raise _error(text, "the port is not a number")
        if not (0 if free_port else 1) <= int(port) <= MOST_PORT:
            raise _error(text, f"a port is 1 to {MOST_PORT}")
        if "://" in text:
            raise _error(text, "a URL")
        if host.startswith("[") or host.endswith("]"):
            return cls(_ipv6(host, text), int(port))
        if ":" in host:
            raise _error(text, "an IPv6 address needs brackets")
        return cls(_name(host, text), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine: `localhost`, 127.0.0.0/8 or ::1."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host == "localhost"
        mapped = getattr(address, "ipv4_mapped", None)
        return bool((mapped or address).is_loopback)


def _ipv6(host: str, text: str) -> str:
    inner = host.removeprefix("[").removesuffix("]")
    if len(inner) != len(host) - 2:
        raise _error(text, "unbalanced brackets")
    try:
        # The zone is an interface's name, in which case counts.
        return str(ipaddress.IPv6Address(inner))
    except ValueError:
        raise _error(text, "brackets are for IPv6 addresses") from None


def _name(host: str, text: str) -> str:
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _MOST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise _error(text, "not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise _error(text, "not an IPv4 address") from None
    return name


def _error(text: str, why: str) -> AddressError:
    shown = text if len(text) <= 80 else f"{text[:80]}..."
    return AddressError(f"{shown!r} is not HOST:PORT ({why}); write for example {EXAMPLES}")
