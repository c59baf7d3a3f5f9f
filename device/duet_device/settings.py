"""Define the settings of a question."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from duet_contract.sampling import MOST_SEED, TEMPERATURE_RULE, valid_temperature
from duet_device.errors import UsageProblem
from duet_device.setting_types import (
    CHOICES,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_ROUNDS,
    DEFAULT_ROUTE,
    DEFAULT_SERVER,
    DEFAULT_STOP,
    DEFAULT_TIMEOUT,
    MOST_DEFAULT_THREADS,
    MOST_ROUNDS,
    MOST_TIMEOUT,
    MOST_TOKENS,
    STOPS,
    Choice,
    Stop,
)

if TYPE_CHECKING:
    from duet_contract.manifest import Manifest


@dataclass(frozen=True)
class Settings:
    """Settings of a question; the defaults are those of `duet-device ask`.

    Examples:
        >>> settings = Settings(budget=64, stop="never")
        >>> settings.budget, settings.timeout
        (64, 120.0)
    """

    server: str = DEFAULT_SERVER
    """Address of the cloud, or several: the next one answers if one fails. HOST:PORT, or HOST for its
    default port; several are separated by commas, the preferred one first."""
    budget: int | None = None
    """Maximum number of signal tokens; None: pair's default."""
    chunk_tokens: int | None = None
    """Maximum number of tokens in a chunk of the signal; None: what the service sends. The service's
    own maximum holds as well."""
    answer_tokens: int | None = None
    """Maximum number of answer tokens; None: pair's default. That is also the most."""
    temperature: float | None = None
    """Sampling temperature, 0 or 0.01 to 2; None: pair's default. It holds for signal and answer."""
    seed: int | None = None
    """Sampling seed; None: random. It is 0 to 2**32 - 2; with None, an answer above temperature 0 is
    not reproducible."""
    timeout: float = DEFAULT_TIMEOUT
    """Total time limit in seconds, from when the question is read. At most a year."""
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    """Connection timeout in seconds. At most a year."""
    route: Choice = DEFAULT_ROUTE
    """Who answers: the device where its calibration trusts it, the cloud, or the device. "auto": the
    device answers alone where the pair's calibration trusts it, and asks the cloud otherwise. "device":
    the device alone, unless its pair says that its decoder is not useful alone."""
    force: bool = False
    """Answer with route device even if the decoder is not useful alone. The pair says whether it is."""
    device_only: bool = False
    """Answer without the cloud; open no connection. With any pair: the same as route "device" with
    `force`."""
    require_cloud: bool = False
    """Fail instead of answering without the cloud."""
    stop: Stop = DEFAULT_STOP
    """End a signal once it is enough, if the pair is calibrated for it, or never. "auto": the device ends
    it by the pair's calibration, if it has one. "never": it reads every signal to its end."""
    rounds: int = DEFAULT_ROUNDS
    """Maximum number of signals; the device asks for more while the answer is doubtful."""
    threads: int | None = None
    """Decoder threads; None: as measured, else processors less one, at most 8. See
    `default_threads`."""
    prompt_lookup: bool = True
    """Speculative decoding by prompt lookup, while that is faster. Greedy answers only."""

    def budget_for(self, manifest: "Manifest") -> int:
        """Maximum number of signal tokens with a pair."""
        return self.budget or manifest.defaults.budget

    def answer_limit(self, manifest: "Manifest") -> int:
        """Maximum number of answer tokens with a pair."""
        most = manifest.defaults.answer
        return most if self.answer_tokens is None else min(self.answer_tokens, most)

    def check(self, manifest: "Manifest") -> None:
        """Refuse values that are out of range for a pair.

        Raises:
            UsageProblem: names the first such value and what is possible.
        """
        most = manifest.limits.budget
        if self.budget is not None and not 1 <= self.budget <= most:
            raise UsageProblem(
                f"a budget of {self.budget} is not possible: this pair takes 1 to {most}",
                setting="budget",
            )
        if self.chunk_tokens is not None and not 1 <= self.chunk_tokens <= MOST_TOKENS:
            raise UsageProblem(
                f"chunk_tokens is {self.chunk_tokens}: give 1 to {MOST_TOKENS}", "chunk_tokens"
            )
        if self.answer_tokens is not None and self.answer_tokens < 1:
            raise UsageProblem(
                f"answer_tokens is {self.answer_tokens}: give 1 or more", "answer_tokens"
            )
        for name in ("timeout", "connect_timeout"):
            # Written so that it refuses NaN, too.
            if not 0 < (seconds := getattr(self, name)) <= MOST_TIMEOUT:
                raise UsageProblem(
                    f"{name} is {seconds:g}: give seconds, more than 0 and at most "
                    f"{MOST_TIMEOUT:.0f}",
                    setting=name,
                )
        if self.temperature is not None and not valid_temperature(self.temperature):
            raise UsageProblem(
                f"temperature is {self.temperature:g}: {TEMPERATURE_RULE}", "temperature"
            )
        if self.seed is not None and not 0 <= self.seed <= MOST_SEED:
            raise UsageProblem(f"seed is {self.seed}: give 0 to {MOST_SEED}", "seed")
        if self.stop not in STOPS:
            raise UsageProblem(f"stop is {self.stop!r}: give one of {', '.join(STOPS)}", "stop")
        if not 1 <= self.rounds <= MOST_ROUNDS:
            raise UsageProblem(f"rounds is {self.rounds}: give 1 to {MOST_ROUNDS}", "rounds")
        if self.route not in CHOICES:
            raise UsageProblem(
                f"route is {self.route!r}: give one of {', '.join(CHOICES)}", "route"
            )
        if self.device_only and self.require_cloud:
            raise UsageProblem(
                "device_only and require_cloud contradict each other", "require_cloud"
            )
        if self.route != "cloud" and self.require_cloud:
            raise UsageProblem(
                f"route {self.route} and require_cloud contradict each other", "require_cloud"
            )


def usable_processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Return the number of processors that this process may use, less one, and at most 8.

    llama.cpp's threads wait for each other actively, several times a layer: with as many threads as
    processors, anything else that runs makes a step many times slower. Beyond 8, decoding is bound
    by memory.
    """
    return max(1, min(usable_processors() - 1, MOST_DEFAULT_THREADS))
