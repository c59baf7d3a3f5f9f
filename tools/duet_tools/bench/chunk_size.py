"""Bytes against wait: what smaller chunks cost on the wire, and how much sooner the answer begins.

One signal, recorded from the service, is cut again into chunks of each size, the first of one token as
the service has it, and replayed at a steady pace through a relay that counts bytes.
"""

import statistics
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from duet_device.client import Client
from duet_device.decoder.llama import Decoder
from duet_device.setting_types import ClientSettings
from duet_tools.bench.answer_start import (
    TARGET,
    TOKENS_PER_S,
    decode_step_ms,
    recorded,
    short_answers,
    wait_ms,
)
from duet_tools.bench.bench import Bench
from duet_tools.bench.replay import Recording, ReplayServer
from duet_tools.bench.stats import in_turns, ratios, summarise
from duet_tools.link.relay import Relay, settled
from duet_tools.results.figures import Figure, Series

SIZES = (1, 2, 4, 6, 8, 12, 20, 40)
"""Most tokens of a chunk."""
SIGNAL = 241
"""Tokens of the signal: the first, and whole chunks of every size."""
BYTES = "bytes down a token"
"""Name of the detail that has the bytes of a figure."""


class _Measured(NamedTuple):
    """One signal."""

    wait: float
    """Milliseconds from the last chunk to the first answer token."""
    step: float
    """Milliseconds of a decode step."""
    bytes_per_token: float
    """Bytes down the wire."""


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return len(SIZES) * (bench.repeats + 1) + 1


def measure(bench: Bench) -> Iterator[Figure]:
    """A figure for each size of chunks."""
    text, recordings = recorded(bench, (SIGNAL,))
    ids = recordings[SIGNAL].ids
    pair = short_answers(bench)
    with (
        Decoder(bench.workload.gguf, bench.threads) as decoder,
        ReplayServer() as server,
        Relay(server.address) as relay,
    ):
        decoder.reserve(pair.manifest.limits.question + len(ids) + 256)
        settings = ClientSettings(
            server=relay.address, budget=len(ids), temperature=0.0, require_cloud=True, stop="never"
        )
        with Client(pair, decoder=decoder, **settings) as client:

            def once(size: int) -> _Measured:
                server.play(in_chunks(ids, size), TOKENS_PER_S)
                before = settled(lambda: relay.count)
                wait = wait_ms(text, client, decoder)
                passed = settled(lambda: relay.count) - before
                return _Measured(wait, decode_step_ms(decoder), passed.down / len(ids))

            took = in_turns(
                bench.repeats,
                {size: partial(once, size) for size in SIZES},
                lambda size: bench.step(f"chunks of {size}"),
            )
    for size, found in took.items():
        waits, decode_steps, costs = ([*each] for each in zip(*found, strict=True))
        yield Figure(
            id=f"chunks.{size}",
            title=f"Last chunk to first answer token, chunks of up to {size}",
            unit="ms",
            subject=Series(name="evaluated on arrival", summary=summarise(waits)),
            judged=ratios(waits, decode_steps),
            judged_unit="decode steps",
            target=TARGET,
            details={
                BYTES: statistics.median(costs),
                "decode step, ms": statistics.median(decode_steps),
                "signal tokens": len(ids),
                "replayed at, tokens/s": TOKENS_PER_S,
            },
        )


def in_chunks(ids: list[int], size: int) -> Recording:
    """Cut a signal into its first token and chunks of `size`, the last of what remains."""
    rest = range(1, len(ids), size)
    return Recording((tuple(ids[:1]), *(tuple(ids[at : at + size]) for at in rest)))
