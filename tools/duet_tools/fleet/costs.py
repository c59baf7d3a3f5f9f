"""What a question costs, measured: the capacity model's only input about models and machines.

A file of costs is JSON of `Costs`; `costs_file.py` reads one, or what the bench wrote.
"""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(ge=0, le=1e5)]
Rate = Annotated[float, Field(ge=1e-3, le=1e9)]
Bytes = Annotated[float, Field(ge=0, le=1e12)]
Tokens = Annotated[tuple[Annotated[float, Field(ge=1, le=1e7)], ...], Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Speed(_Model):
    """Tokens a second of all `streams` together while they decode side by side."""

    streams: Annotated[int, Field(ge=1, le=1_000_000)]
    tokens_per_s: Rate


class Engine(_Model):
    """One replica's engine.

    `speeds`: measured, by rising number of streams. `prefill_s`: seconds of the whole engine that a
    prompt takes, during which nobody decodes. `overhead_s`: seconds that a request takes beside
    that until its first token, which occupy nothing.
    """

    speeds: Annotated[tuple[Speed, ...], Field(min_length=1)]
    prefill_s: Seconds = 0.0
    overhead_s: Seconds = 0.0

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(one.streams >= other.streams for one, other in pairwise(self.speeds)):
            raise ValueError("speeds are not in order of streams")
        return self

    def step_s(self, streams: int) -> float:
        """Seconds in which each of so many streams gets a token.

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


class Device(_Model):
    """The device's side. `first_answer_s`: from the last chunk to the first answer token."""

    first_answer_s: Seconds
    answer_tokens_per_s: Rate


class Wire(_Model):
    """Bytes of a question on the wire: up, and down for each token that the cloud sends."""

    up_bytes: Bytes = 0.0
    down_bytes_per_token: Bytes = 0.0


class Costs(_Model):
    """What a question costs.

    `signal_tokens`: of questions answered with the split, drawn from with replacement.
    `answer_tokens`: of their answers, by the same rank in the tuple modulo its length.
    `alone_tokens`: reasoning of the large model where it answers alone; None: as the signal.
    `split_wire`, `alone_wire`: bytes of the two ways to ask.
    `source`: where the figures are from.
    """

    engine: Engine
    device: Device
    signal_tokens: Tokens
    answer_tokens: Tokens
    alone_tokens: Tokens | None = None
    split_wire: Wire = Wire()
    alone_wire: Wire = Wire()
    source: str = ""
