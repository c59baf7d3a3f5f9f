"""What a question costs, measured: the capacity model's only input about models and machines.

A file of costs is JSON of `Costs`; `costs_file.py` reads one, or what the bench wrote.
"""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from duet_tools.files import Strict

Seconds = Annotated[float, Field(ge=0, le=1e5)]
Rate = Annotated[float, Field(ge=1e-3, le=1e9)]
Bytes = Annotated[float, Field(ge=0, le=1e12)]
Tokens = Annotated[tuple[Annotated[float, Field(ge=1, le=1e7)], ...], Field(min_length=1)]


class Speed(Strict):
    """Speed of an engine with a number of streams."""

    streams: Annotated[int, Field(ge=1, le=1_000_000)]
    """Number of streams that decode at the same time."""
    tokens_per_s: Rate
    """Tokens per second of all streams together."""


class EngineCosts(Strict):
    """One replica's engine."""

    speeds: Annotated[tuple[Speed, ...], Field(min_length=1)]
    """Measured speeds, by rising number of streams."""
    prefill_s: Seconds = 0.0
    """Seconds of the whole engine that a prompt takes; no request decodes meanwhile."""
    overhead_s: Seconds = 0.0
    """Further seconds until a request's first token, which occupy no resource."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(one.streams >= other.streams for one, other in pairwise(self.speeds)):
            raise ValueError("speeds are not in order of streams")
        return self

    def step_s(self, streams: int) -> float:
        """Return the seconds of a step in which each of `streams` streams gets a token.

        Between two measured points it is on the line between them; above the last, on the line
        through the last two, or through the last and nothing, whichever is slower.
        """
        points = [(point.streams, point.streams / point.tokens_per_s) for point in self.speeds]
        if streams <= points[0][0]:
            return points[0][1]
        for (few, fast), (many, slow) in pairwise(points):
            if streams <= many:
                return fast + (slow - fast) * (streams - few) / (many - few)
        many, slow = points[-1]
        slope = slow / many
        if len(points) > 1:
            few, fast = points[-2]
            slope = max(slope, (slow - fast) / (many - few))
        return slow + slope * (streams - many)


class DeviceCosts(Strict):
    """The device's costs."""

    first_answer_s: Seconds
    """Seconds from the last chunk to the first answer token."""
    answer_tokens_per_s: Rate
    """Answer tokens per second."""


class WireCosts(Strict):
    """Bytes of a question on the wire."""

    up_bytes: Bytes = 0.0
    """Bytes from the device to the cloud."""
    down_bytes_per_token: Bytes = 0.0
    """Bytes to the device for each token that the cloud sends."""


class Costs(Strict):
    """Measured costs of a question."""

    engine: EngineCosts
    """Costs of the cloud's engine."""
    device: DeviceCosts
    """Costs of the device."""
    signal_tokens: Tokens
    """Signal tokens of questions answered with the split; drawn from with replacement."""
    answer_tokens: Tokens
    """Tokens of their answers, by the same rank in the tuple modulo its length."""
    alone_tokens: Tokens | None = None
    """Reasoning tokens of the large model alone; None: as the signal."""
    split_wire: WireCosts = WireCosts()
    """Bytes of a question with the split."""
    alone_wire: WireCosts = WireCosts()
    """Bytes of a question to the large model alone."""
    source: str = ""
    """Source of the figures."""
