"""Timelines: at so many seconds, change these settings of a link.

A file is TOML or JSON of the same shape, times in seconds since the emulator started, in order:

    [[at]]
    t = 2.0
    link = "3g"              # first becomes this link, if one is named,
    rtt_ms = 400             # then this round trip, half up and half down,
    down = { rate = "200kbit", jitter_ms = 30 }      # then single settings of `Direction`
    up = { stalled = true }
    end = "reset"            # and connections that are open are ended: "cut" or "reset"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from duet_contract.json_data import parse_json
from duet_tools.errors import UsageProblem
from duet_tools.files import read_text
from duet_tools.link.errors import BadLink, BadTimeline
from duet_tools.link.profiles import MOST_MS, Link, check_number, link_named

Ending = Literal["cut", "reset"]
_MOST_BYTES = 1 << 20
_MOST_S = 31 * 86_400.0
_KEYS = ("t", "link", "rtt_ms", "up", "down", "end")


@dataclass(frozen=True)
class Step:
    """A change of the link."""

    t: float
    """Time of the change, in seconds since the start."""
    link: Link | None = None
    """Link that replaces the present one; None: it stays."""
    rtt_ms: float | None = None
    """Round-trip time in milliseconds, half in each direction; None: it stays."""
    up: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `Direction` by name."""
    down: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `Direction` by name."""
    end: Ending | None = None
    """How open connections end; None: they stay open."""

    def applied(self, link: Link) -> Link:
        """Return the link after this step.

        Raises:
            BadLink: a setting is unknown or out of range.
        """
        link = self.link or link
        up, down = dict(self.up), dict(self.down)
        if self.rtt_ms is not None:
            up = {"delay_ms": self.rtt_ms / 2, **up}
            down = {"delay_ms": self.rtt_ms / 2, **down}
        return Link(link.name, link.up.changed(up), link.down.changed(down), link.source)


@dataclass(frozen=True)
class Timeline:
    """Steps in order of time.

    Raises:
        BadTimeline: they are not in order.
    """

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        times = [step.t for step in self.steps]
        if times != sorted(times):
            raise BadTimeline("the timeline's steps are not in order of t")


def read_timeline(path: Path) -> Timeline:
    """Read a timeline from a file, TOML unless its name ends in .json.

    Raises:
        BadTimeline: it cannot be read, is malformed, or names what there is not.
    """
    try:
        text = read_text(path, _MOST_BYTES)
        data = parse_json(text) if path.suffix == ".json" else tomllib.loads(text)
    except UsageProblem as error:
        raise BadTimeline(str(error)) from error
    except RecursionError:
        raise BadTimeline(f"{path.name}: it is nested too deeply") from None
    except ValueError as error:
        raise BadTimeline(f"{path.name}: {error}") from error
    if not isinstance(data, dict) or set(data) != {"at"} or not isinstance(data["at"], list):
        raise BadTimeline(f"{path.name}: a timeline is a list named 'at', and nothing else")
    try:
        return Timeline(tuple(_step(number, entry) for number, entry in enumerate(data["at"], 1)))
    except BadTimeline as error:
        raise BadTimeline(f"{path.name}: {error}") from error


def _step(number: int, entry: object) -> Step:
    where = f"step {number}"
    if not isinstance(entry, dict) or "t" not in entry:
        raise BadTimeline(f"{where} has no t, the second when it happens")
    unknown = [key for key in entry if key not in _KEYS]
    if unknown:
        raise BadTimeline(f"{where}: no key {unknown[0]!r}; there are: {', '.join(_KEYS)}")
    if not _is_number(entry["t"]) or not 0 <= entry["t"] <= _MOST_S:
        raise BadTimeline(f"{where}: t is {entry['t']!r}: give seconds from 0 to {_MOST_S:.0f}")
    if entry.get("end") not in (None, "cut", "reset"):
        raise BadTimeline(f"{where}: end is {entry['end']!r}: give cut or reset")
    for way in ("up", "down"):
        if not isinstance(entry.get(way, {}), dict):
            raise BadTimeline(f"{where}: {way} is not a table of settings")
    try:
        step = Step(
            t=float(entry["t"]),
            link=link_named(entry["link"]) if "link" in entry else None,
            rtt_ms=entry.get("rtt_ms"),
            up=entry.get("up", {}),
            down=entry.get("down", {}),
            end=entry.get("end"),
        )
        if step.rtt_ms is not None:
            check_number("rtt_ms", step.rtt_ms, 0.0, 2 * MOST_MS)
        # Fails now rather than in the middle of a run.
        step.applied(link_named("none"))
    except BadLink as error:
        raise BadTimeline(f"{where}: {error}") from error
    return step


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
