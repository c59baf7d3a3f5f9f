"""Tokens a second through the service, against vLLM's engine and vLLM's OpenAI server."""

from collections.abc import Iterator

from tools.bench.bench import Bench
from tools.bench.results import Figure, Series, Target
from tools.bench.stats import ratios, summarise
from tools.bench.subjects import Round, Subject
from tools.bench.workload import question

STREAMS = (1, 8, 32)
AGAINST_ENGINE = Target(comparison="at least", value=0.98)
AGAINST_OPENAI = Target(comparison="at least", value=1.0)


def steps(bench: Bench) -> int:
    """Measurements that `measure` takes."""
    return len(STREAMS) * 3 * (bench.repeats + 1)


def measure(bench: Bench) -> Iterator[Figure]:
    """Two figures for each number of streams."""
    service, direct, openai = bench.service(), bench.direct(), bench.openai_server()
    subjects: list[Subject] = [direct, service, openai]
    for streams in STREAMS:
        rounds: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
        for repeat in range(bench.repeats + 1):
            questions = [question(number) for number in bench.fresh_numbers(streams)]
            # Each goes first, second and last in turn, so that none gains from its place.
            turn = repeat % len(subjects)
            for subject in subjects[turn:] + subjects[:turn]:
                done = bench.run(subject.run(questions, bench.budget))
                bench.step(f"throughput, {streams} streams, {subject.name}")
                if repeat:
                    rounds[subject.name].append(done)
        for peer, target in ((direct.name, AGAINST_ENGINE), (openai.name, AGAINST_OPENAI)):
            yield _figure(streams, service.name, peer, rounds, target)


def _figure(
    streams: int, subject: str, peer: str, rounds: dict[str, list[Round]], target: Target
) -> Figure:
    mine = [done.tokens_per_s for done in rounds[subject]]
    theirs = [done.tokens_per_s for done in rounds[peer]]
    short = "engine" if target is AGAINST_ENGINE else "openai"
    return Figure(
        id=f"throughput.{short}-{streams}",
        title=f"Throughput, {streams} stream{'s' * (streams > 1)}",
        unit="tokens/s",
        subject=Series(name=subject, summary=summarise(mine)),
        peer=Series(name=peer, summary=summarise(theirs)),
        judged=ratios(mine, theirs),
        judged_unit="ratio",
        target=target,
        details={
            "tokens a round, subject": _tokens(rounds[subject]),
            "tokens a round, peer": _tokens(rounds[peer]),
        },
    )


def _tokens(rounds: list[Round]) -> float:
    return sum(stream.tokens for done in rounds for stream in done.streams) / len(rounds)
