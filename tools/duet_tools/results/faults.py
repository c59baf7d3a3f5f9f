"""Results of the fault matrix: for each fault, how many trials there were and how many held."""

from typing import Literal

from pydantic import Field

from duet_tools.files import SchemaFile, Strict
from duet_tools.results.figures import Machine


class FaultResult(Strict):
    """One row of the matrix."""

    name: str
    """Name of the row, unique in a file."""
    fault: str
    """What was done."""
    expected: str
    """What a trial has to show to hold."""
    engine: Literal["scripted", "vLLM", "none"]
    """The engine of the service that was asked."""
    trials: int
    """Number of trials."""
    held: int
    """Trials that showed what was expected."""
    otherwise: dict[str, int] = Field(default_factory=dict)
    """What the other trials showed, with their number."""
    figures: dict[str, float] = Field(default_factory=dict)
    """Measured values by name, with their unit."""
    seconds: float
    """Time that the row took."""
    quick: bool
    """Whether this is the short version, with few trials."""
    date: str
    """Day of the measurement, UTC."""
    commit: str | None
    """Commit of the code; None if unknown."""
    not_run: str = ""
    """Why there were no trials; empty if there were."""


class FaultMatrix(SchemaFile):
    """All rows, and where they were measured."""

    kind = "fault matrix"
    machine: Machine
    """Where it was measured."""
    pair: str
    """The pair as `id@version`."""
    rows: tuple[FaultResult, ...]
    """In the matrix's order."""
