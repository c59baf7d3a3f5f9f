"""The results file: what was measured, on which machine, with every repeat's value.

Nothing in it identifies a machine or its user: no paths, no host names, no addresses.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from duet_tools.files import SchemaFile, Strict, text_of


class Summary(Strict):
    """A figure over its repeats, in the figure's unit. `spread`: (max - min) / median."""

    values: Annotated[tuple[float, ...], Field(min_length=1)]
    median: float
    min: float
    max: float
    spread: float


class Series(Strict):
    """What one subject measured."""

    name: str
    summary: Summary


class Target(Strict):
    """What a figure is to reach."""

    comparison: Literal["at least", "at most"]
    value: float

    def met_by(self, value: float) -> bool:
        """Return whether `value` reaches the target."""
        return value >= self.value if self.comparison == "at least" else value <= self.value


class Figure(Strict):
    """One figure.

    `id`: `GROUP.WHAT`, unique in a file. `unit`: of `subject` and `peer`.
    `judged`: what the target speaks of, in `judged_unit`: the subject's own value, or subject
    against peer, repeat by repeat. `target`: None for figures that are only reported.
    `details`: what explains the figure, by name, with its unit.
    `warm_ups`: repeats before the first that counts.
    `load`: the machine's load average over one minute, before and after.
    `command`: how it was measured. `commit`: of the code that was measured, if known.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]
    title: str
    unit: str
    subject: Series
    peer: Series | None = None
    judged: Summary
    judged_unit: str
    target: Target | None = None
    details: dict[str, float] = Field(default_factory=dict)
    warm_ups: int = 1
    load: tuple[float, float] | None = None
    command: str = ""
    commit: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None without a target."""
        return self.target.met_by(self.judged.median) if self.target else None


class Machine(Strict):
    """What the figures depend on. `memory_gib`: of the whole machine. `versions`: by package."""

    cpu: str
    cores: int
    memory_gib: float
    accelerator: str | None = None
    system: str
    python: str
    versions: dict[str, str]

    @property
    def in_words(self) -> str:
        """The machine, and the versions of the packages that matter."""
        words = f"{self.cpu}, {self.cores} cores, {self.memory_gib:g} GiB"
        if self.accelerator:
            words += f", {self.accelerator}"
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"{words}, {versions}"


class Results(SchemaFile):
    """A results file. `pair`: as `id@version`.

    `commit`, `date`: of the file's last run; each figure has the commit that it was taken at.
    """

    kind = "results file"
    machine: Machine
    pair: str
    commit: str | None = None
    date: str = ""
    figures: tuple[Figure, ...] = ()

    @classmethod
    def prepare(cls, data: Any) -> None:
        """See `SchemaFile`."""
        for figure in data["figures"]:
            figure.pop("met", None)
            # Files of before figures had their own commit hold one for all.
            figure.setdefault("commit", data.get("commit"))

    def to_json(self) -> str:
        """Return the results as they are written; whether a target was met is written out, too."""
        data = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        for entry, figure in zip(data["figures"], self.figures, strict=True):
            if figure.met is not None:
                entry["met"] = figure.met
        return text_of(data)

    def with_figures(self, figures: tuple[Figure, ...]) -> "Results":
        """These results with `figures` in place of earlier ones of the same id."""
        measured = {figure.id: figure for figure in figures}
        kept = tuple(measured.pop(figure.id, figure) for figure in self.figures)
        return self.model_copy(update={"figures": kept + tuple(measured.values())})
