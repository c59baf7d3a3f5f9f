"""Subjects of measurements: three interfaces to the same engine, with the same settings.

`Service` is DUET's, `OpenAIServer` and `DirectEngine` are vLLM's own. Each runs in a process of its
own, is asked the same questions, and is idle while another is measured.
"""

import asyncio
import importlib.util
import os
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from duet_tools.subjects.workload import Workload

# Loading a small model takes under a minute on two busy cores.
READY_S = 600.0


@dataclass(frozen=True)
class Stream:
    """One signal as its reader saw it."""

    tokens: int
    """Number of tokens."""
    first_s: float
    """Seconds until the first token."""
    total_s: float
    """Seconds until the last token."""


@dataclass(frozen=True)
class Burst:
    """Signals that were generated at the same time."""

    streams: tuple[Stream, ...]
    """The signals."""
    seconds: float
    """Seconds that all of them took together."""


class Subject(Protocol):
    """Something that generates signals."""

    name: str

    async def run(self, questions: Sequence[str], budget: int) -> Burst:
        """Generate the signals of all questions side by side, greedily."""

    def spread_out(self) -> set[int]:
        """Keep its processes off its workers' cores; return the cores left for others."""

    def stop(self) -> None:
        """End its process."""


async def timed(streams: Iterable[Coroutine[Any, Any, Stream]]) -> Burst:
    """Run streams side by side."""
    began = time.perf_counter()
    done = await asyncio.gather(*streams)
    return Burst(tuple(done), time.perf_counter() - began)


def engine_flags(workload: Workload, extra: Sequence[str]) -> list[str]:
    """VLLM's engine flags, the same for every subject.

    vLLM's own defaults for these differ between its server and its library, or are not what the
    service takes on a processor.
    """
    flags = {
        "--max-model-len": str(workload.max_context),
        "--max-num-seqs": "64",
        "--max-num-batched-tokens": "4096",
    }
    given = {flag.split("=", 1)[0] for flag in extra}
    chosen = [part for item in flags.items() if item[0] not in given for part in item]
    if importlib.util.find_spec("torch") is not None:
        import torch

        if not torch.accelerator.is_available():
            # As the service decides (`cloud/duet_cloud/engine.py`), except for quantized weights.
            chosen.append("--enforce-eager")
            quantised = "quantization_config" in (workload.model / "config.json").read_text("utf-8")
            emulated = not torch.ops.mkldnn._is_mkldnn_bf16_supported()
            if "--dtype" not in given and emulated and not quantised:
                chosen += ["--dtype", "float32"]
    return [*chosen, *extra]


def engine_environment() -> dict[str, str]:
    """Environment of every engine: quiet, without usage reports, with a bounded cache."""
    return {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        # For servers of others; those that the bench starts are on loopback and need no key.
        "VLLM_API_KEY": "",
        "VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1"),
    }
