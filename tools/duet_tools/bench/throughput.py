"""Tokens a second through the service, against vLLM's engine and vLLM's OpenAI server."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from duet_tools.bench.bench import Bench
from duet_tools.bench.stats import compared, in_turns
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.asking import run
from duet_tools.subjects.placement import staying_on
from duet_tools.subjects.subject import Subject
from duet_tools.subjects.workload import question

# Streams, and rounds a repeat: a short round alone would measure noise.
ROUNDS = {1: 2, 8: 1, 32: 1}
AGAINST_ENGINE = Target(comparison="at least", value=0.98)
AGAINST_OPENAI = Target(comparison="at least", value=1.0)


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return len(ROUNDS) * 3 * (bench.repeats + 1)


def measure(bench: Bench) -> Iterator[Figure]:
    """Two figures for each number of streams."""
    service, direct, openai = bench.service, bench.direct, bench.openai_server
    subjects: list[Subject] = [direct, service, openai]
    with staying_on(set.intersection(*(subject.spread_out() for subject in subjects))):
        for streams, rounds in ROUNDS.items():
            # Of all repeats, the same for every subject.
            numbers = bench.fresh_numbers(streams * rounds * (bench.repeats + 1))
            measures = {
                each.name: partial(_repeat, bench, each, streams, rounds, iter(numbers))
                for each in subjects
            }
            repeats = in_turns(bench.repeats, measures, partial(_step, bench, streams))
            for peer, target in ((direct.name, AGAINST_ENGINE), (openai.name, AGAINST_OPENAI)):
                yield _figure(streams, service.name, peer, repeats, target)


def _step(bench: Bench, streams: int, name: str) -> None:
    bench.step(f"throughput, {streams} streams, {name}")


def _repeat(
    bench: Bench, subject: Subject, streams: int, rounds: int, numbers: Iterator[int]
) -> tuple[int, float]:
    """Return tokens of all streams of some rounds, and seconds that they took."""
    tokens, seconds = 0, 0.0
    for _ in range(rounds):
        bench.let_others_rest()
        questions = [question(number) for number in islice(numbers, streams)]
        done = run(subject.run(questions, bench.budget))
        tokens += sum(stream.tokens for stream in done.streams)
        seconds += done.seconds
    return tokens, seconds


def _figure(
    streams: int,
    subject: str,
    peer: str,
    repeats: Mapping[str, Sequence[tuple[int, float]]],
    target: Target,
) -> Figure:
    short = "engine" if target is AGAINST_ENGINE else "openai"
    speeds = {
        name: [tokens / seconds for tokens, seconds in found] for name, found in repeats.items()
    }
    tokens = {name: statistics.median(each for each, _ in found) for name, found in repeats.items()}
    return compared(
        f"throughput.{short}-{streams}",
        f"Throughput, {streams} stream{'s' * (streams > 1)}",
        "tokens/s",
        (subject, speeds[subject]),
        (peer, speeds[peer]),
        target=target,
        details={
            "tokens a repeat, subject": tokens[subject],
            "tokens a repeat, peer": tokens[peer],
        },
    )
