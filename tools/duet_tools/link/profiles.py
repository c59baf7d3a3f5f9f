"""Links: settings of each direction, and presets by name.

Rates count what TCP carries, as the emulator does, not TCP's and IP's own headers.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from duet_contract.json_data import faults
from duet_tools.errors import UsageProblem

_UNITS = {"": 1.0, "bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)(?:/s)?")
MOST_MS = 3_600_000.0
"""Longest delay, jitter, gap or stall in milliseconds: an hour."""
MOST_BYTES = 1 << 50

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_Milliseconds = Annotated[float, Field(ge=0, le=MOST_MS)]
_Bytes = Annotated[int, Field(ge=1, le=MOST_BYTES)]
_Limit = Annotated[int, Field(ge=0, le=MOST_BYTES)]


class BadLink(UsageProblem):
    """A link's setting is not one that a link can have. Exit code 2."""


@dataclass(frozen=True, config=STRICT)
class Direction:
    """One direction of a link.

    Raises:
        ValidationError: a value is out of range.
    """

    rate_bit_s: Annotated[float, Field(ge=1, le=1e12)] | None = None
    """Bits per second, shared by all connections; None: no limit."""
    delay_ms: _Milliseconds = 0.0
    """Delay of this direction in milliseconds."""
    jitter_ms: _Milliseconds = 0.0
    """Each segment's delay is uniform in `delay_ms` plus or minus this, at least 0 milliseconds.

    The order of bytes within a connection is preserved, as in TCP.
    """
    slice_bytes: _Bytes | None = None
    """Most bytes that are delivered in one write; None: no limit."""
    slice_gap_ms: _Milliseconds = 0.0
    """Milliseconds between two such writes."""
    stall_every_bytes: _Bytes | None = None
    """Bytes of a connection after which it stalls, each time; None: no stalls."""
    stall_ms: _Milliseconds = 0.0
    """Milliseconds of each such stall."""
    stalled: bool = False
    """Whether no byte passes at all; connections stay open."""
    cut_after_bytes: _Limit | None = None
    """Delivered bytes after which a connection is closed; None: never."""
    reset_after_bytes: _Limit | None = None
    """Delivered bytes after which a connection is reset; None: never."""

    def changed(self, settings: Mapping[str, Any]) -> "Direction":
        """This direction with some settings changed, by their names; `rate` takes "10mbit", too.

        Raises:
            BadLink: no such setting, or a value is out of range.
        """
        known = [field.name for field in fields(self)]
        given = dict(settings)
        if "rate" in given:
            given["rate_bit_s"] = parse_rate(given.pop("rate"))
        unknown = [name for name in given if name not in known]
        if unknown:
            raise BadLink(f"no setting {unknown[0]!r}; use one of rate, {', '.join(known)}")
        try:
            return replace(self, **given)
        except ValidationError as error:
            raise BadLink(faults(error, "a link", 1)) from error


@dataclass(frozen=True, config=STRICT)
class LinkProfile:
    """A link."""

    name: str
    """Name by which commands choose it."""
    up: Direction
    """From the device to the cloud."""
    down: Direction
    """From the cloud to the device."""
    source: str
    """Source of the values."""

    @property
    def rtt_ms(self) -> float:
        """Round-trip time in milliseconds: the sum of both directions' delays."""
        return self.up.delay_ms + self.down.delay_ms


def link_named(name: str) -> LinkProfile:
    """Return the link of that name.

    Raises:
        BadLink: no link has that name; the message lists the names.
    """
    try:
        return PRESETS[name]
    except (KeyError, TypeError):
        raise BadLink(f"no link named {name!r}; use one of {', '.join(PRESETS)}") from None


def parse_rate(rate: object) -> float | None:
    """Return bits a second of "10mbit", "1.5mbit/s", "256kbit" or 64000; None of "none".

    Raises:
        BadLink: it has none of these forms.
    """
    if rate == "none":
        return None
    if isinstance(rate, int | float) and not isinstance(rate, bool):
        return rate
    found = _RATE.fullmatch(str(rate).strip().lower())
    if not found or found[2] not in _UNITS:
        raise BadLink(
            f"{rate!r} is not a rate: give bits per second, as in 10mbit, 256kbit, or none"
        )
    return float(found[1]) * _UNITS[found[2]]


def _link(name: str, down_bit_s: float, up_bit_s: float, rtt_ms: float, source: str) -> LinkProfile:
    """Return a link whose round trip is half up, half down: sources give round trips alone."""
    half = rtt_ms / 2
    return LinkProfile(name, Direction(up_bit_s, half), Direction(down_bit_s, half), source)


# Sources that name a jitter, and how they measured it, are rare and differ in what they mean by it;
# presets therefore have none, and whoever wants one gives it.
_WPT = (
    "a tool's preset: WebPageTest, www/settings/connectivity.ini.sample, "
    "github.com/WPO-Foundation/webpagetest"
)
_FIREFOX = (
    "a tool's preset: Firefox network throttling, "
    "devtools/docs/user/network_monitor/throttling/index.rst"
)
_OOKLA_SATELLITE = (
    "measured: Ookla Speedtest Intelligence, United States, Q2 2021, median, as reported by RCR "
    "Wireless (2021-08-04) and Fierce Wireless"
)

_ALL = (
    LinkProfile("none", Direction(), Direction(), "no emulation: bytes pass as they come"),
    _link("2g", 280e3, 256e3, 800, f"{_WPT}, [2G]"),
    _link("3g", 1.6e6, 768e3, 300, f"{_WPT}, [3G]"),
    _link("4g", 12e6, 12e6, 70, f"{_WPT}, [LTE]"),
    _link(
        "5g",
        166.13e6,
        21.08e6,
        52,
        "measured: rates are Ookla's worldwide 5G medians of Q3 2021 ('Growing and Slowing: The "
        "State of 5G Worldwide in 2021'); round trip: the middle of the three United States "
        "operators' 5G medians of Q4 2023 (48, 52, 63 ms; Speedtest Intelligence)",
    ),
    _link("wifi", 30e6, 15e6, 2, f"{_FIREFOX}, 'Wi-Fi': the wireless hop alone"),
    _link("dsl", 1.5e6, 384e3, 50, f"{_WPT}, [DSL]"),
    _link("satellite", 18.13e6, 3.38e6, 630, f"{_OOKLA_SATELLITE}; Viasat, geostationary"),
    _link("starlink", 97.23e6, 13.89e6, 45, f"{_OOKLA_SATELLITE}; Starlink, low orbit"),
    _link(
        "lan",
        1e9,
        1e9,
        0.5,
        "rate: IEEE 802.3ab (1000BASE-T); round trip: J. Dean, 'Numbers everyone should know' "
        "(within a data centre)",
    ),
)
PRESETS: Mapping[str, LinkProfile] = MappingProxyType({link.name: link for link in _ALL})
