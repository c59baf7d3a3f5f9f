"""What a question is asked with, apart from the question itself."""

import os
from dataclasses import dataclass

DEFAULT_SERVER = "127.0.0.1:50151"
DEFAULT_TIMEOUT = 120.0
DEFAULT_CONNECT_TIMEOUT = 3.0
# For all documents of a question together.
DEFAULT_CONTEXT_TIMEOUT = 60.0
# A year; clocks of threads and of gRPC end somewhere beyond.
MOST_TIMEOUT = 365 * 86_400.0
MOST_DEFAULT_THREADS = 8


def default_threads() -> int:
    """Processors that this process may use, less one, and at most 8.

    llama.cpp's threads wait for each other actively, several times a layer: with as many threads as
    processors, anything else that runs makes a step many times slower. Beyond 8, decoding is bound
    by memory.
    """
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min(usable - 1, MOST_DEFAULT_THREADS))


@dataclass(frozen=True)
class Settings:
    """Settings of one question; the defaults are those of the command.

    `budget`: most signal tokens; None is the pair's default. `temperature`: of signal and answer, 0
    or 0.01 to 2; None is the pair's default. `seed`: of both, 0 to 2**32 - 2; None is not
    reproducible above temperature 0.
    `timeout`, `connect_timeout`: seconds, at most a year. `threads`: None is `default_threads()`.
    `draft`: guess ahead from the prompt where that is faster (greedy answers only).
    `anticipate`: guess the signal ahead while waiting for it; sooner answers for more computing.
    """

    server: str = DEFAULT_SERVER
    budget: int | None = None
    temperature: float | None = None
    seed: int | None = None
    timeout: float = DEFAULT_TIMEOUT
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    device_only: bool = False
    require_cloud: bool = False
    threads: int | None = None
    draft: bool = True
    anticipate: bool = False
