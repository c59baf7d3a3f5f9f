"""The command line's options of a run, checked."""

from pathlib import Path
from typing import Any, Literal

import click
from pydantic import BaseModel, ConfigDict

from duet_contract.commands import Number
from duet_tools.options import ParamType
from duet_tools.results.cells import Plan
from duet_tools.results.report import Objective

MOST_TOKENS = 1 << 20
_OBJECTIVES = ("first_signal", "signal", "first_answer", "total")


class Options(BaseModel):
    """What the command was given; None: the pair's or the device's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    data: Path
    limit: int | None
    plan: Plan
    sweep_steps: int
    large_limit: int | None
    answer_limit: int | None
    temperature: float | None
    seed: int
    warm_up: int
    timeout: float
    connect_timeout: float
    connections: Literal["new", "kept"]
    threads: int | None
    pair: str
    server: str | None
    openai: str | None
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    service_flags: tuple[str, ...]
    engine_flags: tuple[str, ...]
    verifier: str
    objectives: tuple[Objective, ...]
    price_host_hour: float | None
    price_million_tokens: float | None
    price_gib: float | None
    figures_file: Path | None
    out: Path
    resume: bool


class ObjectiveType(ParamType):
    """`first_answer=2`: an objective in seconds.

    Examples:
        >>> ObjectiveType().convert("total=0.5", None, None)
        Objective(metric='total_ms', most=500.0)
    """

    name = "objective"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Objective:
        """See `click.ParamType`."""
        name, _, seconds = value.partition("=")
        if name not in _OBJECTIVES or not seconds:
            self.fail(f"{value!r} is not WHAT=SECONDS: {', '.join(_OBJECTIVES)}", param, ctx)
        most = Number(0, 86_400, min_open=True).convert(seconds, param, ctx)
        return Objective.model_validate({"metric": f"{name}_ms", "most": 1000 * most})
