"""Which pair a request is for: several pairs, each with its own engine and slots."""

from collections.abc import Sequence
from dataclasses import dataclass

from duet_cloud.admission import Admission
from duet_cloud.engine import Engine
from duet_cloud.engine_watch import EngineWatch
from duet_cloud.errors import EngineError, UsageError
from duet_cloud.reasoner import PairReasoner
from duet_cloud.request_limits import RequestLimits
from duet_cloud.status import mismatch, unavailable

# Characters of a reference that no pair has: longer than any pair's.
_SHOWN = 128


@dataclass(frozen=True)
class Serving:
    """A pair's engine and limits, once the engine is loaded."""

    engine: Engine
    """The loaded engine."""
    limits: RequestLimits
    """Limits of requests, lowered to what the engine's context holds."""
    watch: EngineWatch
    """Checks that the engine still works."""


@dataclass
class Route:
    """One pair of the service."""

    pair: PairReasoner
    """The pair's reasoner."""
    admission: Admission
    """Decides which requests run, wait or are refused."""
    serving: Serving | None = None
    """None until the engine is loaded, and while it is loaded again."""
    failure: EngineError | None = None
    """Why the engine failed; None while it has not."""

    @property
    def name(self) -> str:
        """The pair, as "id@version"."""
        return self.pair.manifest.reference

    def ready(self) -> Serving:
        """Return what serves the pair.

        Raises:
            Refusal: UNAVAILABLE while its engine is being loaded.
        """
        if self.serving is None:
            raise unavailable("the service is loading its model", 5.0, "loading")
        return self.serving


class Routes:
    """The pairs of a service, in the order they were named; the first is the default one."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Raises:
        UsageError: the same version of a pair twice.
        """
        names = [route.name for route in routes]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise UsageError(f"{', '.join(sorted(twice))} is named twice as --pair")
        self.all = tuple(routes)
        self.default = self.all[0]

    def find(self, reference: str) -> Route:
        """Return the named pair: the default one for no name, the newest version for an id alone.

        Raises:
            Refusal: FAILED_PRECONDITION with reason PAIR_MISMATCH, naming what is served.
        """
        if not reference:
            return self.default
        found = [route for route in self.all if route.pair.manifest.matches(reference)]
        if found:
            return max(found, key=_version)
        served = ",".join(route.name for route in self.all)
        # It may be as long as a request, and a status of that length is more than a device takes.
        shown = reference if len(reference) <= _SHOWN else f"{reference[:_SHOWN]}..."
        raise mismatch(
            f"{shown} is not served, {served.replace(',', ' and ')} "
            f"{'are' if len(self.all) > 1 else 'is'}",
            device=shown,
            cloud=served,
        )


def _version(route: Route) -> tuple[int, ...]:
    return route.pair.manifest.version_numbers
