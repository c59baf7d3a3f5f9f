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
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from duet_contract.json_data import faults, parse_json
from duet_tools.errors import UsageProblem
from duet_tools.files import read_text
from duet_tools.link.profiles import MOST_MS, STRICT, BadLink, LinkProfile, link_named

Ending = Literal["cut", "reset"]
_MOST_BYTES = 1 << 20


class BadTimeline(UsageProblem):
    """A timeline cannot be read or makes no sense. Exit code 2."""


@dataclass(frozen=True, config=STRICT)
class LinkChange:
    """A change of the link."""

    t: Annotated[float, Field(ge=0, le=31 * 86_400)]
    """Time of the change, in seconds since the start."""
    link: LinkProfile | None = None
    """Link that replaces the present one; None: it stays."""
    rtt_ms: Annotated[float, Field(ge=0, le=2 * MOST_MS)] | None = None
    """Round-trip time in milliseconds, half in each direction; None: it stays."""
    up: dict[str, Any] = field(default_factory=dict)
    """Settings of `Direction` by name."""
    down: dict[str, Any] = field(default_factory=dict)
    """Settings of `Direction` by name."""
    end: Ending | None = None
    """How open connections end; None: they stay open."""

    def applied(self, link: LinkProfile) -> LinkProfile:
        """Return the link after this step.

        Raises:
            BadLink: a setting is unknown or out of range.
        """
        link = self.link or link
        up, down = dict(self.up), dict(self.down)
        if self.rtt_ms is not None:
            up = {"delay_ms": self.rtt_ms / 2, **up}
            down = {"delay_ms": self.rtt_ms / 2, **down}
        return LinkProfile(link.name, link.up.changed(up), link.down.changed(down), link.source)


@dataclass(frozen=True)
class Timeline:
    """Steps in order of time.

    Raises:
        BadTimeline: they are not in order.
    """

    steps: tuple[LinkChange, ...] = ()
    """The changes, by time."""

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


def _step(number: int, entry: object) -> LinkChange:
    try:
        if not isinstance(entry, dict):
            raise BadLink("it is not a table")
        named = {"link": link_named(entry["link"])} if "link" in entry else {}
        step = LinkChange(**{**entry, **named})
        # Fails now rather than in the middle of a run.
        step.applied(link_named("none"))
    except BadLink as error:
        raise BadTimeline(f"step {number}: {error}") from error
    except ValidationError as error:
        raise BadTimeline(f"step {number}: {faults(error, 'a step', 1)}") from error
    return step
