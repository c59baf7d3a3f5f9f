"""What the service adds to the first token's time, against vLLM's engine called directly."""

import statistics
from collections.abc import Iterator

from duet_tools.bench.bench import Bench
from duet_tools.bench.stats import compared, differences
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.placement import staying_on
from duet_tools.subjects.subject import Subject
from duet_tools.subjects.workload import question

TARGET = Target(comparison="at most", value=5.0)
# Requests a repeat: one takes tens of milliseconds, too little to tell 5 ms from noise.
REQUESTS = 16
_BUDGET = 4


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return bench.repeats + 1


def measure(bench: Bench) -> Iterator[Figure]:
    """One figure: each repeat is the median over the same requests to both."""
    service, direct = bench.service(), bench.direct()
    with staying_on(service.spread_out() & direct.spread_out()):
        yield _measure(bench, service, direct)


def _measure(bench: Bench, service: Subject, direct: Subject) -> Figure:
    medians: dict[str, list[float]] = {service.name: [], direct.name: []}
    for repeat in range(bench.repeats + 1):
        first_ms: dict[str, list[float]] = {service.name: [], direct.name: []}
        numbers = bench.fresh_numbers(REQUESTS)
        order = [service, direct] if repeat % 2 else [direct, service]
        for subject in order:
            bench.let_others_rest()
            for number in numbers:
                done = bench.run(subject.run([question(number)], _BUDGET))
                first_ms[subject.name].append(done.streams[0].first_s * 1000)
        bench.step("first token")
        if repeat:
            for name, values in first_ms.items():
                medians[name].append(statistics.median(values))
    mine, theirs = medians[service.name], medians[direct.name]
    return compared(
        "first-token.added",
        "First token, 1 stream: added by the service",
        "ms",
        (service.name, mine),
        (direct.name, theirs),
        judged=differences(mine, theirs),
        judged_unit="ms",
        target=TARGET,
        details={"requests a repeat": REQUESTS},
    )
