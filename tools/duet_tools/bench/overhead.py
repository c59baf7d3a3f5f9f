"""What the bench itself costs: its throughput where the engine's is known, at 32 streams.

A scripted service emits 2,000 tokens a second on each stream. What the bench counts over the time
that it takes is held against what was emitted. Signals are long, so that what 32 devices take to
connect, which is not the bench's time, is a small part of it.
"""

import sys
import threading
from collections.abc import Iterator

from duet_device.settings import Settings
from duet_tools.bench.bench import Bench
from duet_tools.bench.stats import compared
from duet_tools.errors import BenchError
from duet_tools.link.profiles import link_named
from duet_tools.results.conditions import Condition
from duet_tools.results.figures import Figure, Target
from duet_tools.results.questions import QuestionRow
from duet_tools.split.link_pool import LinkPool
from duet_tools.split.load import Load, run, warm_up
from duet_tools.split.modes.base import ModeSettings, Reply
from duet_tools.split.modes.split import receive
from duet_tools.subjects.children import Child
from duet_tools.subjects.workload import question

STREAMS = 32
PACE = 2000.0
TOKENS = 40_000
TARGET = Target(comparison="at least", value=0.98)


class Signals:
    """Requests only signals, through the device's own link, and stores what arrives."""

    def __init__(self, asking: ModeSettings) -> None:
        self._asking = asking

    def ask(self, question: QuestionRow, index: int, address: str, stop: threading.Event) -> Reply:
        """See `duet_tools.split.modes.base.Mode`."""
        settings = Settings(server=address, budget=TOKENS, temperature=0.0, connect_timeout=10)
        return Reply(receive(question.text, self._asking, settings, stop)[1])


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return bench.repeats + 1


def measure(bench: Bench) -> Iterator[Figure]:
    """One figure; each repeat asks for a signal on every stream."""
    manifest = bench.workload.manifest
    mode = Signals(ModeSettings(manifest, TOKENS, 0.0, 0, 300.0, 10.0, bench.threads))
    condition = Condition(mode="duet", link="none", budget=None, streams=STREAMS)
    command = [sys.executable, "-m", "duet_tools.bench.scripted", str(TOKENS), str(PACE)]
    counted = []
    with Child("the scripted service", command, talks=True) as child, LinkPool() as pool:
        load = Load(condition, mode, child.hear()["address"], link_named("none"), seed=0, pool=pool)
        warm_up(load, [(0, QuestionRow("", question(0)))])
        for repeat in range(bench.repeats + 1):
            questions = [
                (number, QuestionRow(str(number), question(number)))
                for number in bench.fresh_numbers(STREAMS)
            ]
            outcome = run(load, questions)
            bench.step(f"the bench itself, {STREAMS} streams")
            answered = [asked.record for asked in outcome.asked if asked.record.ok]
            if len(answered) < STREAMS:
                raise BenchError(f"only {len(answered)} of {STREAMS} scripted signals arrived")
            if repeat:
                tokens = sum(record.signal_tokens for record in answered)
                counted.append(tokens / outcome.seconds)
    yield compared(
        "overhead.streams-32",
        f"The bench itself, {STREAMS} streams of {PACE:g} scripted tokens/s",
        "tokens/s",
        ("counted by the bench", counted),
        ("emitted", [PACE * STREAMS] * len(counted)),
        target=TARGET,
        details={"signal tokens a stream": TOKENS},
    )
