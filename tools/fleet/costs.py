"""What a question costs, measured: the capacity model's only input about models and machines.

A file of costs is JSON of `Costs`. `costs_from_results` makes one from the bench's results.
"""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tools.bench.errors import UsageProblem
from tools.bench.results import Results, read_results

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Tokens = Annotated[tuple[Annotated[float, Field(ge=1)], ...], Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Speed(_Model):
    """Tokens a second of all `streams` together while they decode side by side."""

    streams: Annotated[int, Field(ge=1)]
    tokens_per_s: Positive


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
    """The device's side. `first_answer_s`: from the last piece to the first answer token."""

    first_answer_s: Seconds
    answer_tokens_per_s: Positive


class Wire(_Model):
    """Bytes of a question on the wire: up, and down for each token that the cloud sends."""

    up_bytes: Annotated[float, Field(ge=0)] = 0.0
    down_bytes_per_token: Annotated[float, Field(ge=0)] = 0.0


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


def read_costs(path: Path, signal_tokens: float, answer_tokens: float) -> Costs:
    """Reads costs, or makes them from a file of the bench's results.

    Args:
        path: the file.
        signal_tokens: of a question; only where the file does not say.
        answer_tokens: likewise, of its answer.

    Raises:
        UsageProblem: it is missing, malformed, or lacks a figure.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageProblem(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageProblem(f"{path.name} is no JSON: {error}") from error
    if isinstance(data, dict) and "figures" in data:
        return costs_from_results(read_results(path), signal_tokens, answer_tokens, path.name)
    try:
        return Costs.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "costs"
        raise UsageProblem(f"{path.name}: {where}: {fault['msg']}") from error


def costs_from_results(
    results: Results, signal_tokens: float, answer_tokens: float, name: str = "results"
) -> Costs:
    """Costs from the bench's figures: throughput, first token, decoder, answer start and bytes.

    Throughput was measured over whole signals, their prompts included; that share is taken off.

    Raises:
        UsageProblem: a figure is missing.
    """
    figures = {figure.id: figure for figure in results.figures}

    def figure(name_: str) -> Any:
        if name_ not in figures:
            raise UsageProblem(
                f"{name} has no figure {name_}: measure it with tools/bench_split.py"
            )
        return figures[name_]

    found = sorted(
        (int(each.rpartition("-")[2]), each)
        for each in figures
        if each.startswith("throughput.engine-")
    )
    if not found:
        figure("throughput.engine-1")
    first_s = figure("first-token.added").subject.summary.median / 1000
    lone = figure(found[0][1])
    prefill_s = max(0.0, first_s - found[0][0] / lone.subject.summary.median)
    speeds = []
    for streams, each in found:
        measured = figure(each)
        tokens = measured.details["tokens a repeat, subject"] / streams
        # A repeat's rounds, each with its prompts, are not told apart: a signal of at most this.
        prompts = max(1.0, round(tokens / 96)) if streams == 1 else 1.0
        total_s = tokens * streams / measured.subject.summary.median
        decoding_s = max(total_s / 2, total_s - prompts * streams * prefill_s)
        speeds.append(Speed(streams=streams, tokens_per_s=tokens * streams / decoding_s))
    start = min(
        (each for each in figures if each.startswith("answer-start.") and each[13:].isdigit()),
        key=lambda each: abs(int(each[13:]) - signal_tokens),
        default="answer-start.64",
    )
    down, up = figure("bytes.ids-kept"), figure("bytes.ids-kept-up")
    return Costs(
        engine=Engine(speeds=tuple(speeds), prefill_s=prefill_s),
        device=Device(
            first_answer_s=figure(start).subject.summary.median / 1000,
            answer_tokens_per_s=figure("decoder.bare").subject.summary.median,
        ),
        signal_tokens=(signal_tokens,),
        answer_tokens=(answer_tokens,),
        split_wire=Wire(
            up_bytes=up.subject.summary.median,
            down_bytes_per_token=down.subject.summary.median,
        ),
        alone_wire=Wire(
            up_bytes=up.peer.summary.median if up.peer else 0.0,
            down_bytes_per_token=down.peer.summary.median if down.peer else 0.0,
        ),
        source=f"{name}: {results.pair}, {results.machine.cpu}, {results.date}",
    )


def mean_tokens(tokens: Tokens) -> float:
    """The mean of a sample of tokens."""
    return math.fsum(tokens) / len(tokens)
