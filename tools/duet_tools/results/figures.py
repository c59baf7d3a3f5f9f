"""The results file: what was measured, on which machine, with every repeat's value.

Nothing in it identifies a machine or its user: no paths, no host names, no addresses.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from duet_tools.files import SchemaFile, Strict, text_of


class Summary(Strict):
    """A figure over its repeats, in the figure's unit."""

    values: Annotated[tuple[float, ...], Field(min_length=1)]
    """A value for each repeat."""
    median: float
    """Their median."""
    min: float
    """The smallest."""
    max: float
    """The largest."""
    spread: float
    """(max - min) / median."""


class Series(Strict):
    """What one subject measured."""

    name: str
    """The subject."""
    summary: Summary
    """Its values."""


class Target(Strict):
    """What a figure is to reach."""

    comparison: Literal["at least", "at most"]
    """Direction in which the target is met."""
    value: float
    """Limit, in the unit of the judged value."""

    def met_by(self, value: float) -> bool:
        """Return whether `value` reaches the target."""
        return value >= self.value if self.comparison == "at least" else value <= self.value


class Figure(Strict):
    """One figure."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]
    """`GROUP.WHAT`, unique in a file."""
    title: str
    """What it is, in words."""
    unit: str
    """Unit of `subject` and `peer`."""
    subject: Series
    """What this code measured."""
    peer: Series | None = None
    """What it is compared with; None: nothing."""
    judged: Summary
    """What the target is about: the value of the subject, or subject against peer, repeat by
    repeat."""
    judged_unit: str
    """Unit of `judged`."""
    target: Target | None = None
    """None for figures that are only reported."""
    details: dict[str, float] = Field(default_factory=dict)
    """What explains the figure, by name with its unit."""
    warm_ups: int = 1
    """Repeats before the first that counts."""
    load: tuple[float, float] | None = None
    """Load average of the machine over one minute, before and after."""
    command: str = ""
    """Command that measured it."""
    commit: str | None = None
    """Commit of the code that was measured; None: unknown."""

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None without a target."""
        return self.target.met_by(self.judged.median) if self.target else None


class Machine(Strict):
    """What the figures depend on."""

    cpu: str
    """Model of the processor."""
    cores: int
    """Cores of the machine."""
    memory_gib: float
    """Memory of the whole machine in GiB."""
    accelerator: str | None = None
    """Model of the GPU; None: no GPU."""
    system: str
    """Operating system and architecture."""
    python: str
    """Version of Python."""
    versions: dict[str, str]
    """Versions by package."""

    @property
    def in_words(self) -> str:
        """The machine, and the versions of the packages that matter."""
        words = f"{self.cpu}, {self.cores} cores, {self.memory_gib:g} GiB"
        if self.accelerator:
            words += f", {self.accelerator}"
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"{words}, {versions}"


class Results(SchemaFile):
    """A results file."""

    kind = "results file"
    machine: Machine
    """Where it was measured."""
    pair: str
    """The pair as `id@version`."""
    commit: str | None = None
    """Commit of the file's last run; each figure has its own."""
    date: str = ""
    """Date of the file's last run."""
    figures: tuple[Figure, ...] = ()
    """The figures."""

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
