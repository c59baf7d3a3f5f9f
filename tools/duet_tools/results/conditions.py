"""The conditions of a run: a mode over a link under a load, each with all questions in their order."""

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from duet_tools.errors import UsageProblem

PROFILES = ("synchronous", "constant", "poisson", "sweep")
ModeName = Literal[
    "duet", "auto", "large-alone", "large-alone-service", "device-alone", "truncated"
]
MODES: tuple[ModeName, ...] = get_args(ModeName)
# Files of earlier versions have "cell".
RENAMED = Field(validation_alias=AliasChoices("condition", "cell"))
# Modes whose signal a budget cuts.
_BUDGETED = ("duet", "auto", "truncated")
# Engines one after another: an idle one's processes still take time of a small machine.
_ORDER = ("device-alone", "duet", "auto", "large-alone-service", "large-alone", "truncated")


class Condition(BaseModel):
    """One mode over one link under one load."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mode: ModeName
    """Who answers."""
    link: str
    """Name of the link profile."""
    budget: int | None = None
    """Maximum signal tokens; None: no budget applies."""
    streams: int | None = None
    """Questions at once, each asked when one before it is done; None: they are asked at a rate."""
    rate: float | None = None
    """Questions per second; None: they are asked in `streams`."""
    spread: Literal["constant", "poisson"] | None = None
    """How questions at a rate are spread: evenly, or as a Poisson process."""

    @property
    def id(self) -> str:
        """A name that no other condition of the run has."""
        budget = f"@{self.budget}" if self.budget else ""
        return f"{self.mode}{budget}/{self.link}/{self.load}"

    @property
    def load(self) -> str:
        """The load in words."""
        if self.streams:
            return f"{self.streams} at once"
        return f"{self.rate:.3g}/s {self.spread}"

    @property
    def live(self) -> bool:
        """Whether the device answers while the cloud works; with a load it answers afterwards."""
        return self.streams == 1


@dataclass(frozen=True)
class Plan:
    """Measurements that the command line asks for; part of `RunSettings`."""

    modes: tuple[str, ...]
    """Modes to measure."""
    links: tuple[str, ...]
    """Names of link profiles."""
    streams: tuple[int, ...]
    """Questions at once, a load each."""
    budgets: tuple[int, ...]
    """Maximum signal tokens, a condition each."""
    profile: str = "synchronous"
    """How questions arrive."""
    rates: tuple[float, ...] = ()
    """Questions per second, a load each."""

    def conditions(self) -> list[Condition]:
        """Return the conditions, grouped by what must run for them.

        Raises:
            UsageProblem: rates are missing, or mode `auto` does not fit.
        """
        if self.profile in ("constant", "poisson") and not self.rates:
            raise UsageProblem(f"--profile {self.profile} needs --rate, in questions a second")
        if "auto" in self.modes and (self.profile != "synchronous" or set(self.streams) != {1}):
            raise UsageProblem(
                "mode auto decides on the device while the cloud works: give --concurrency 1 and no "
                "--profile"
            )
        found: list[Condition] = []
        for mode in sorted(set(self.modes), key=_ORDER.index):
            # No link and no other device is involved: one stream over none says it all.
            links = ("none",) if mode == "device-alone" else self.links
            for budget in self.budgets if mode in _BUDGETED else (None,):
                for link in links:
                    found += self._loads(mode, link, budget)
        return found

    def most_conditions(self, sweep_steps: int) -> int:
        """Return the largest number of conditions, with those that a sweep adds."""
        conditions = self.conditions()
        swept = [
            condition
            for condition in conditions
            if condition.streams == 1 and condition.mode != "device-alone"
        ]
        return len(conditions) + sweep_steps * len(swept) * (self.profile == "sweep")

    def _loads(self, mode: str, link: str, budget: int | None) -> list[Condition]:
        def condition(**load: object) -> Condition:
            return Condition.model_validate({"mode": mode, "link": link, "budget": budget, **load})

        if mode == "device-alone":
            return [condition(streams=1)]
        if self.profile == "synchronous":
            return [condition(streams=count) for count in self.streams]
        if self.profile == "sweep":
            # The rates between these two are known once they are measured.
            return [condition(streams=1), condition(streams=max(2, *self.streams))]
        return [condition(rate=rate, spread=self.profile) for rate in self.rates]


def sweep_between(
    slow: Condition, one_at_once: float, most_at_once: float, steps: int
) -> list[Condition]:
    """Return conditions at even rates between those of one stream and of all streams, per second."""
    if most_at_once <= one_at_once:
        return []
    step = (most_at_once - one_at_once) / (steps + 1)
    rates = [one_at_once + step * number for number in range(1, steps + 1)]
    plain = {"mode": slow.mode, "link": slow.link, "budget": slow.budget, "spread": "constant"}
    return [Condition.model_validate({**plain, "rate": float(f"{rate:.3g}")}) for rate in rates]
