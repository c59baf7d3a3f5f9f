"""Choose the decoder's threads by measurement, once for a machine and a decoder."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from duet_contract.directories import state_directory
from duet_contract.errors import NoDirectoryError
from duet_contract.json_data import parse_json
from duet_contract.manifest import Manifest
from duet_contract.private_files import write_private
from duet_device.settings import default_threads, usable_processors

# More threads must be this much faster than fewer: they also slow down whatever else runs.
_WORTH = 1.05
_MOST_STEPS, _FEWEST_STEPS = 24, 3
_MOST_S = 0.15
_MOST_KEPT = 64


def measure(directory: Path, manifest: Manifest) -> dict[int, float]:
    """Measure a decoder's speed by number of threads, and store which number to use.

    Args:
        directory: of the pair; its files are verified.
        manifest: the pair's.

    Returns:
        Tokens per second by number of threads.

    Raises:
        ModelProblem: the decoder cannot be loaded.
    """
    from duet_device.decoder.llama import Decoder

    usable = usable_processors()
    numbers = sorted({1, default_threads(), usable, *(n for n in (2, 4, 6, 8, 16) if n < usable)})
    speeds = {}
    with Decoder(directory / manifest.decoder.path, 1) as decoder:
        decoder.reserve(_MOST_STEPS + 1)
        for number in numbers:
            decoder.use_threads(number)
            decoder.keep(0)
            decoder.evaluate([0])  # the first step of a new number starts its threads
            speeds[number] = 1 / _seconds_per_step(decoder.evaluate)
    _store(manifest, best(speeds))
    return speeds


def best(speeds: dict[int, float]) -> int:
    """Return the smallest number of threads that no larger one beats clearly.

    Examples:
        >>> best({1: 100.0, 2: 180.0, 4: 185.0})
        2
    """
    chosen = min(speeds)
    for number, speed in sorted(speeds.items()):
        if speed > _WORTH * speeds[chosen]:
            chosen = number
    return chosen


def stored_threads(manifest: Manifest) -> int | None:
    """Return what `measure` chose for a decoder here; None if it was not measured."""
    found = _load().get(_key(manifest))
    return found if isinstance(found, int) and 1 <= found <= usable_processors() else None


def file() -> Path:
    """Return the file that stores the choices.

    Raises:
        NoDirectoryError: the user has no home directory.
    """
    return state_directory() / "threads.json"


def _seconds_per_step(evaluate: Callable[[list[int]], None]) -> float:
    times: list[float] = []
    ends = time.perf_counter() + _MOST_S
    while len(times) < _FEWEST_STEPS or (len(times) < _MOST_STEPS and time.perf_counter() < ends):
        began = time.perf_counter()
        evaluate([0])
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _key(manifest: Manifest) -> str:
    """All that a choice depends on: the decoder, this machine's processors, the library."""
    from llama_cpp import __version__

    return f"{manifest.decoder_sha256[:16]} {usable_processors()} {__version__}"


def _load() -> dict[str, object]:
    try:
        return dict(parse_json(file().read_bytes()))
    except (OSError, ValueError, TypeError, NoDirectoryError):
        return {}


def _store(manifest: Manifest, threads: int) -> None:
    """Store a choice; where it cannot be written, the default is used."""
    held = list(_load().items())[-_MOST_KEPT:]
    try:
        write_private(file(), json.dumps({**dict(held), _key(manifest): threads}).encode())
    except (OSError, NoDirectoryError):
        return
