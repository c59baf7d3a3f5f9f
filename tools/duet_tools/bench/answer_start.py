"""From the last chunk to the first answer token, against evaluating the whole prompt at the end.

The device evaluates chunks as they arrive, so the wait should not grow with the signal. Signals are
recorded from the service, chunks included, and replayed at a steady pace.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from duet_contract.manifest import Manifest
from duet_contract.prompts import encode_text, prompt_ids, split_at_signal
from duet_contract.receipt import Milliseconds
from duet_device.client import Client
from duet_device.decoder.llama import Decoder
from duet_device.pairs.pair import Pair
from duet_device.setting_types import ClientSettings
from duet_tools.bench.bench import Bench
from duet_tools.bench.replay import Recording, ReplayServer, chunk_sizes, record
from duet_tools.bench.stats import compared, in_turns, ratios
from duet_tools.errors import BenchError
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.workload import question

SIGNALS = (64, 128, 256, 512, 1024)
# About what a 7B model on one GPU gives a single stream; well below what the device evaluates.
TOKENS_PER_S = 150.0
TARGET = Target(comparison="at most", value=2.0)
FLAT = Target(comparison="at most", value=1.5)
_ANSWER = 8
_STEPS = 16
# Questions that are tried for a signal of the wanted length.
_CANDIDATES = 8


class _Waits(NamedTuple):
    """Waits for one signal, in milliseconds."""

    on_arrival: float
    """Wait with each chunk evaluated when it arrived."""
    step: float
    """Time of one decode step."""
    whole: float
    """Wait with the whole prompt evaluated at the signal's end."""


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return len(SIGNALS) * (bench.repeats + 2)


def measure(bench: Bench) -> Iterator[Figure]:
    """A figure for each length of signal, and one for how the wait grows with it."""
    text, recordings = recorded(bench, SIGNALS)
    pair = short_answers(bench)
    manifest = pair.manifest
    with Decoder(bench.workload.gguf, bench.threads) as decoder, ReplayServer() as server:
        decoder.reserve(manifest.limits.question + max(SIGNALS) + 256)

        def once(length: int) -> _Waits:
            server.play(recordings[length], TOKENS_PER_S)
            settings = ClientSettings(
                server=server.address, budget=length, temperature=0.0, require_cloud=True
            )
            with Client(pair, decoder=decoder, **settings) as client:
                on_arrival = wait_ms(text, client, decoder)
            step = decode_step_ms(decoder)
            return _Waits(on_arrival, step, _whole_ms(text, manifest, recordings[length], decoder))

        took = in_turns(
            bench.repeats,
            {length: partial(once, length) for length in recordings},
            lambda length: bench.step(f"answer start, {length} signal tokens"),
        )
    seen = {
        length: [list(each) for each in zip(*found, strict=True)] for length, found in took.items()
    }
    for length, recording in recordings.items():
        yield _figure(length, recording, *seen[length])
    least, most = SIGNALS[0], SIGNALS[-1]
    yield compared(
        "answer-start.flat",
        f"The same wait, signal of {most} against {least}",
        "ms",
        (f"signal of {most}, on arrival", seen[most][0]),
        (f"signal of {least}, on arrival", seen[least][0]),
        target=FLAT,
    )


def _figure(
    length: int,
    recording: Recording,
    on_arrival: list[float],
    step: list[float],
    whole: list[float],
) -> Figure:
    sizes = chunk_sizes(recording)
    return compared(
        f"answer-start.{length}",
        f"Last chunk to first answer token, signal of {length}",
        "ms",
        ("evaluated on arrival", on_arrival),
        ("whole prompt at the end", whole),
        judged=ratios(on_arrival, step),
        judged_unit="decode steps",
        target=TARGET,
        details={
            "decode step, ms": statistics.median(step),
            "tokens of the last chunk": sizes[-1],
            "tokens of the largest chunk": max(sizes),
            "chunks": len(sizes),
            "replayed at, tokens/s": TOKENS_PER_S,
        },
    )


def recorded(bench: Bench, lengths: Sequence[int]) -> tuple[str, dict[int, Recording]]:
    """Return a question with a signal of the last length, and its signals of every length."""
    for _ in range(_CANDIDATES):
        text = question(bench.fresh_numbers(1)[0])
        recordings: dict[int, Recording] = {}
        for length in reversed(lengths):
            recording = record(bench.service.address, bench.workload.request(text, length))
            if len(recording.ids) < length:
                break
            recordings[length] = recording
            bench.step(f"recording a signal of {length}")
        else:
            return text, dict(sorted(recordings.items()))
    raise BenchError(f"no question of {_CANDIDATES} gave a signal of {lengths[-1]} tokens")


def short_answers(bench: Bench) -> Pair:
    """Return the pair with short answers: only their first token matters here."""
    manifest = bench.workload.manifest
    short = manifest.defaults.model_copy(update={"answer": _ANSWER})
    return Pair(bench.workload.directory, manifest.model_copy(update={"defaults": short}))


def wait_ms(text: str, client: Client, decoder: Decoder) -> float:
    """Ask a question that was never asked; return milliseconds from last chunk to first answer token."""
    decoder.keep(0)
    return waited_ms(client.ask(text).receipt.ms)


def waited_ms(moments: Milliseconds) -> float:
    """Return the milliseconds from the last chunk to the first answer token."""
    if moments.first_answer is None or moments.signal is None:
        # The model ended its answer with its first token: that token came after `total`.
        return moments.total - (moments.signal or 0.0)
    return moments.first_answer - moments.signal


def decode_step_ms(decoder: Decoder) -> float:
    """Return the median milliseconds of one token after what was just evaluated."""
    token = decoder.ids[-1]
    took = []
    for _ in range(_STEPS):
        began = time.perf_counter()
        decoder.evaluate((token,))
        token = decoder.most_likely()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _whole_ms(text: str, manifest: Manifest, recording: Recording, decoder: Decoder) -> float:
    description = manifest.decoder
    vocabulary = description.vocabulary
    before, after = split_at_signal(description.prompt_with_signal)
    asked = encode_text(decoder, vocabulary, text)
    ids = [
        *prompt_ids(decoder, before, question=asked),
        *recording.ids,
        *prompt_ids(decoder, after),
    ]
    decoder.keep(0)
    began = time.perf_counter()
    decoder.evaluate(ids)
    decoder.most_likely()
    return (time.perf_counter() - began) * 1000
