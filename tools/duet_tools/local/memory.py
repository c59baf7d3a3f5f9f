"""What `duet-device serve` keeps in memory besides the model and its key-value cache."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import llama_cpp

from duet_device import Client
from duet_device.decoder.llama import Decoder, model_params
from duet_tools.bench.stats import compared, differences
from duet_tools.local.asked import QUESTION
from duet_tools.local.served import DeviceCommands
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.workload import Workload

TARGET = Target(comparison="at most", value=100.0)
_MB = 1e6
# Bytes of a value in the cache: llama.cpp's default, which the decoder keeps.
_VALUE_BYTES = 2


def measure(
    repeats: int, workload: Workload, device: DeviceCommands, cloud: str, threads: int
) -> Iterator[Figure]:
    """Measure a new local server of `device` after each of its answers, of the command and the API."""
    with device.serving() as server:
        resident = []
        for _ in range(repeats):
            device.ask(QUESTION)
            server.ask(QUESTION, stream=True)
            resident.append(server.resident_bytes)
    model = workload.gguf.stat().st_size
    yield figure(resident, model, cache_bytes(workload.gguf, _context(workload, cloud, threads)))


def figure(resident: Sequence[int], model: int, cache: int) -> Figure:
    """Return the figure of resident sets, a model's file, and a key-value cache, in bytes."""
    mine, theirs = [each / _MB for each in resident], [(model + cache) / _MB] * len(resident)
    return compared(
        "memory.serve",
        "`duet-device serve`, resident set after answers",
        "MB",
        ("duet-device serve", mine),
        ("model file and key-value cache", theirs),
        judged=differences(mine, theirs),
        judged_unit="MB",
        target=TARGET,
        details={"model file, MB": model / _MB, "key-value cache, MB": cache / _MB},
        warm_ups=0,
    )


def cache_bytes(path: Path, tokens: int) -> int:
    """Return the bytes of a model's key-value cache for a number of tokens."""
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), model_params())
    try:
        layers, heads = (
            int(of(model)) for of in (llama_cpp.llama_model_n_layer, llama_cpp.llama_model_n_head)
        )
        width = int(llama_cpp.llama_model_n_embd(model)) // heads
        kept = int(llama_cpp.llama_model_n_head_kv(model)) * width
        return 2 * layers * kept * _VALUE_BYTES * tokens
    finally:
        llama_cpp.llama_model_free(model)


def _context(workload: Workload, cloud: str, threads: int) -> int:
    """Return the tokens of context that the same questions reserve, by a decoder of our own."""
    with Decoder(workload.gguf, threads) as decoder:
        with Client(workload.pair, server=cloud, decoder=decoder) as client:
            client.warm()
            client.ask(QUESTION)
            client.ask(QUESTION, device_only=True)
        return decoder.context
