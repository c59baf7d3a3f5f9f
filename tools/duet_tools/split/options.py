"""The command line's options of a run, checked."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from duet_tools.errors import UsageProblem
from duet_tools.results.cells import Plan, parse_list
from duet_tools.results.report import Objective

MOST_TOKENS = 1 << 20
_MOST_S = 86_400.0
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

    @field_validator("objectives", mode="before")
    @classmethod
    def _parse_objectives(cls, text: str) -> tuple[Objective, ...]:
        return parse_objectives(text)


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """`first_answer=2,total=10` as objectives in milliseconds.

    Raises:
        UsageProblem: it is malformed, or names something else.
    """
    found = []
    for part in parse_list(text):
        name, _, seconds = part.partition("=")
        try:
            most = float(seconds)
        except ValueError:
            most = 0.0
        # NaN is in no range.
        if name not in _OBJECTIVES or not 0 < most <= _MOST_S:
            raise UsageProblem(
                f"--objective: {part!r} is not WHAT=SECONDS, with WHAT one of "
                f"{', '.join(_OBJECTIVES)} and SECONDS above 0 and at most {_MOST_S:.0f}"
            )
        found.append(Objective.model_validate({"metric": f"{name}_ms", "most": 1000 * most}))
    return tuple(found)
