"""Define the settings of a question: defaults, types and limits."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, cast, get_args

from duet_contract.sampling import MOST_SEED, TEMPERATURE_RULE, valid_temperature
from duet_device.errors import UsageProblem

if TYPE_CHECKING:
    from duet_contract.manifest import Manifest

Choice = Literal["auto", "cloud", "device"]
"""Who answers: the device judges each question, a signal is asked for, or the device alone."""
CHOICES: tuple[str, ...] = get_args(Choice)
Stop = Literal["auto", "never"]
"""Whether the device ends a signal that is enough."""
STOPS: tuple[str, ...] = get_args(Stop)
MOST_TOKENS = 2**31 - 1
"""Most tokens that a request can name."""
MOST_ROUNDS = 16
"""Most signals of one question."""
DEFAULT_PORT = 50151
"""Port of a cloud's services, where an address names none."""
ENROLLMENT_PORT = 50152
"""Port of a cloud's enrollment, where an address names none."""
DEFAULT_CONTEXT_TIMEOUT = 60.0
"""Time limit for all documents of a question together, in seconds."""
MOST_TIMEOUT = 365 * 86_400.0
"""A year; clocks of threads and of gRPC end somewhere beyond."""
MOST_DEFAULT_THREADS = 8
DEFAULT_IN_FLIGHT = 4
"""Questions of a batch that are sent and not answered."""


class QuestionSettings(TypedDict, total=False):
    """Fields of `Settings` that may change from question to question."""

    budget: int | None
    """Maximum number of signal tokens; None is the pair's default."""
    chunk_tokens: int | None
    """Maximum number of tokens in a chunk of the signal; None is the service's."""
    answer_tokens: int | None
    """Maximum number of answer tokens; None is the pair's default."""
    temperature: float | None
    """Sampling temperature, 0 or 0.01 to 2; None is the pair's default."""
    seed: int | None
    """Sampling seed; None is not reproducible above temperature 0."""
    timeout: float
    """Time limit for the whole question in seconds."""
    connect_timeout: float
    """Time limit for the connection to the cloud in seconds."""
    route: Choice
    """Who answers: "cloud", "device", or "auto", by the pair's calibration."""
    force: bool
    """With route "device": answer even if the decoder alone is worth nothing."""
    device_only: bool
    """Never open a connection."""
    require_cloud: bool
    """Raise an error instead of answering without the cloud."""
    stop: Stop
    """"auto": end a signal that is enough by the pair's calibration; or "never"."""
    rounds: int
    """Most signals of the question."""
    prompt_lookup: bool
    """Speculative decoding by prompt lookup, while that is faster."""


class ClientSettings(QuestionSettings, total=False):
    """Fields of `Settings`; the additional ones are fixed for the life of a client."""

    server: str
    """HOST:PORT of the cloud; several are separated by commas."""
    threads: int | None
    """Threads for decoding; None is what was measured here, or `default_threads()`."""


def question_settings(settings: ClientSettings) -> QuestionSettings:
    """Return those settings that may change from question to question."""
    names = QuestionSettings.__annotations__
    return cast("QuestionSettings", {k: v for k, v in settings.items() if k in names})


def client_settings(options: ClientSettings) -> ClientSettings:
    """Return the settings among options that may have others, too."""
    names = ClientSettings.__annotations__
    return cast("ClientSettings", {k: v for k, v in options.items() if k in names})


@dataclass(frozen=True)
class Settings:
    """Settings of a question; the defaults are those of `duet-device ask`.

    Examples:
        >>> settings = Settings(budget=64, stop="never")
        >>> settings.budget, settings.timeout
        (64, 120.0)
    """

    server: str = f"127.0.0.1:{DEFAULT_PORT}"
    """HOST:PORT of the cloud, or HOST for its default port; several, the preferred one first, are
    separated by commas."""
    budget: int | None = None
    """Maximum number of signal tokens; None is the pair's default."""
    chunk_tokens: int | None = None
    """Maximum number of tokens in a chunk of the signal; at most, and for None, what the service sends."""
    answer_tokens: int | None = None
    """Maximum number of answer tokens; at most, and for None, the pair's default."""
    temperature: float | None = None
    """Sampling temperature of signal and answer, 0 or 0.01 to 2; None is the pair's default."""
    seed: int | None = None
    """Sampling seed, 0 to 2**32 - 2; None is not reproducible above temperature 0."""
    timeout: float = 120.0
    """Time limit for the whole question in seconds, at most a year."""
    connect_timeout: float = 3.0
    """Time limit for the connection to the cloud in seconds, at most a year."""
    route: Choice = "cloud"
    """"auto": the device answers alone where the pair's calibration trusts it, and asks the cloud
    otherwise. "device": the device alone, unless its pair says that this is worth nothing."""
    force: bool = False
    """With route "device": answer even if the pair says that the decoder alone is worth nothing."""
    device_only: bool = False
    """Never open a connection, with any pair: the same as route "device" with `force`."""
    require_cloud: bool = False
    """Raise an error instead of answering without the cloud."""
    stop: Stop = "auto"
    """"auto": the device ends a signal that is enough by the pair's calibration, if it has one. "never":
    it reads every signal to its end."""
    rounds: int = 1
    """Most signals of a question: while its answer is doubtful, the device asks for more."""
    threads: int | None = None
    """Threads for decoding; None is what was measured here, or `default_threads()`."""
    prompt_lookup: bool = True
    """Speculative decoding by prompt lookup, while that is faster (greedy answers only)."""

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
