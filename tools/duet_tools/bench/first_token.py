"""What the service adds to the first token's time, against vLLM's engine called directly."""

import statistics
from collections.abc import Iterator
from functools import partial
from itertools import islice

from duet_tools.bench.bench import Bench
from duet_tools.bench.stats import compared, differences, in_turns
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.asking import run
from duet_tools.subjects.placement import staying_on
from duet_tools.subjects.subject import Subject
from duet_tools.subjects.workload import question

TARGET = Target(comparison="at most", value=5.0)
# Requests a repeat: one takes tens of milliseconds, too little to tell 5 ms from noise.
REQUESTS = 16
_BUDGET = 4


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return 2 * (bench.repeats + 1)


def measure(bench: Bench) -> Iterator[Figure]:
    """One figure: each repeat is the median over the same requests to both."""
    service, direct = bench.service, bench.direct
    numbers = bench.fresh_numbers(REQUESTS * (bench.repeats + 1))
    subjects: list[Subject] = [direct, service]
    measures = {each.name: partial(_first_ms, bench, each, iter(numbers)) for each in subjects}
    with staying_on(service.spread_out() & direct.spread_out()):
        took = in_turns(bench.repeats, measures, lambda name: bench.step(f"first token, {name}"))
    mine, theirs = took[service.name], took[direct.name]
    yield compared(
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


def _first_ms(bench: Bench, subject: Subject, numbers: Iterator[int]) -> float:
    bench.let_others_rest()
    done = [run(subject.run([question(number)], _BUDGET)) for number in islice(numbers, REQUESTS)]
    return statistics.median(each.streams[0].first_s * 1000 for each in done)
