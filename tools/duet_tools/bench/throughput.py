"""Tokens a second through the service, against vLLM's engine and vLLM's OpenAI server."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from duet_tools.bench.bench import Bench
from duet_tools.bench.stats import compared
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.placement import staying_on
from duet_tools.subjects.subject import Round, Subject
from duet_tools.subjects.workload import question

# Streams, and rounds a repeat: a short round alone would measure noise.
ROUNDS = {1: 2, 8: 1, 32: 1}
AGAINST_ENGINE = Target(comparison="at least", value=0.98)
AGAINST_OPENAI = Target(comparison="at least", value=1.0)


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return sum(ROUNDS.values()) * 3 * (bench.repeats + 1)


def measure(bench: Bench) -> Iterator[Figure]:
    """Two figures for each number of streams."""
    service, direct, openai = bench.service(), bench.direct(), bench.openai_server()
    subjects: list[Subject] = [direct, service, openai]
    with staying_on(set.intersection(*(subject.spread_out() for subject in subjects))):
        yield from _measure(bench, subjects)


def _measure(bench: Bench, subjects: list[Subject]) -> Iterator[Figure]:
    direct, service, openai = subjects
    for streams, rounds in ROUNDS.items():
        repeats: dict[str, list[_Repeat]] = {subject.name: [] for subject in subjects}
        for repeat in range(bench.repeats + 1):
            this = {subject.name: _Repeat() for subject in subjects}
            for number in range(rounds):
                questions = [question(number) for number in bench.fresh_numbers(streams)]
                # Each runs first, second and last in turn, so that no subject gains from the order.
                turn = (repeat * rounds + number) % len(subjects)
                for subject in subjects[turn:] + subjects[:turn]:
                    bench.let_others_rest()
                    this[subject.name].add(bench.run(subject.run(questions, bench.budget)))
                    bench.step(f"throughput, {streams} streams, {subject.name}")
            if repeat:
                for name, done in this.items():
                    repeats[name].append(done)
        for peer, target in ((direct.name, AGAINST_ENGINE), (openai.name, AGAINST_OPENAI)):
            yield _figure(streams, service.name, peer, repeats, target)


@dataclass
class _Repeat:
    """Rounds of one repeat: tokens of all streams, and seconds that they took."""

    tokens: int = 0
    seconds: float = 0.0

    def add(self, done: Round) -> None:
        self.tokens += sum(stream.tokens for stream in done.streams)
        self.seconds += done.seconds

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds


def _figure(
    streams: int, subject: str, peer: str, repeats: dict[str, list[_Repeat]], target: Target
) -> Figure:
    short = "engine" if target is AGAINST_ENGINE else "openai"
    return compared(
        f"throughput.{short}-{streams}",
        f"Throughput, {streams} stream{'s' * (streams > 1)}",
        "tokens/s",
        (subject, [done.tokens_per_s for done in repeats[subject]]),
        (peer, [done.tokens_per_s for done in repeats[peer]]),
        target=target,
        details={
            "tokens a repeat, subject": _tokens(repeats[subject]),
            "tokens a repeat, peer": _tokens(repeats[peer]),
        },
    )


def _tokens(repeats: list[_Repeat]) -> float:
    return statistics.median(done.tokens for done in repeats)
