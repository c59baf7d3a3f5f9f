"""The capacity model's results as text."""

from collections.abc import Callable

from duet_report.tables import aligned
from duet_tools.fleet.check import CheckReport
from duet_tools.fleet.report import Capacity, Estimate, Latency, ModeFigures

_Pick = Callable[[ModeFigures], str]


def capacity_table(result: Capacity) -> str:
    """Return a column for each mode."""
    head = (
        f"{result.devices} devices, {result.per_hour:g} questions an hour each ({result.pattern}), "
        f"link {result.link}\n{result.replicas} replicas, each {result.max_running} running and "
        f"{result.max_waiting} waiting; {result.duration_s:g} s, {result.replications} replications"
    )
    if result.sampled_replicas < result.replicas:
        head += f"\nsampled: {result.sampled_replicas} replicas with their share of the devices"
    rows = [[name, *(pick(each) for each in result.outcomes)] for name, pick in _ROWS]
    table = aligned(["", *(each.mode for each in result.outcomes)], rows)
    return "\n".join([head, f"costs: {result.source}", "", table])


def check_table(report: CheckReport) -> str:
    """Return a line for each figure of each load."""
    rows = [
        [
            f"{load.name}: {figure.name}",
            f"{figure.measured:.3f}",
            f"{figure.model:.3f}",
            f"{figure.off:+.1%}" if figure.off is not None else "",
            "" if figure.met else "more than it may",
        ]
        for load in report.loads
        for figure in load.figures
    ]
    return aligned(["figure", "measured", "model", "off", ""], rows)


def _estimate(value: Estimate | None, scale: float = 1.0) -> str:
    if value is None:
        return "-"
    # Rounding makes a spread of equal values a little more than nothing.
    spread = 0.0 if not value.within or value.within < 1e-9 else value.within * scale
    within = "" if value.within is None else f" ± {spread:.3g}"
    return f"{value.mean * scale:.4g}{within}"


def _percentile(name: str, which: str) -> tuple[str, _Pick]:
    def pick(outcome: ModeFigures) -> str:
        latency: Latency | None = getattr(outcome, name)
        return _estimate(getattr(latency, which)) if latency else "-"

    words = {"cloud": "cloud done", "first_answer": "first answer", "total": "answered"}
    return f"{words[name]}, {which}, s", pick


_ROWS: list[tuple[str, _Pick]] = [
    ("questions answered a second", lambda each: _estimate(each.questions_per_s)),
    ("answered, %", lambda each: _estimate(each.answered, 100)),
    ("refused at first, %", lambda each: _estimate(each.refused, 100)),
    ("abandoned, %", lambda each: _estimate(each.abandoned, 100)),
    ("timed out, %", lambda each: _estimate(each.timed_out, 100)),
    *(_percentile("cloud", which) for which in ("p50", "p95")),
    *(_percentile("first_answer", which) for which in ("p50", "p90", "p95", "p99")),
    *(_percentile("total", which) for which in ("p50", "p90", "p95", "p99")),
    ("replica busy, %", lambda each: _estimate(each.busy, 100)),
    ("running in a replica", lambda each: _estimate(each.running)),
    ("tokens a second and replica", lambda each: _estimate(each.tokens_per_s)),
    ("cost of 1000 answers", lambda each: _estimate(each.cost_per_1000)),
]
