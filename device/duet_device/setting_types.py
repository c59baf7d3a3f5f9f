"""Types, limits and defaults of a question's settings. Importing this is cheap, as for `ask_request`."""

from typing import Literal, TypedDict, cast, get_args

Choice = Literal["auto", "cloud", "device"]
"""Who answers: the device judges each question, a signal is asked for, or the device alone."""
CHOICES: tuple[str, ...] = get_args(Choice)
DEFAULT_ROUTE: Choice = "cloud"
Stop = Literal["auto", "never"]
"""Whether the device ends a signal that is enough."""
STOPS: tuple[str, ...] = get_args(Stop)
DEFAULT_STOP: Stop = "auto"
MOST_TOKENS = 2**31 - 1
"""Most tokens that a request can name."""
MOST_ROUNDS = 16
"""Most signals of one question."""
DEFAULT_ROUNDS = 1
DEFAULT_PORT = 50151
"""Port of a cloud's services, where an address names none."""
ENROLLMENT_PORT = 50152
"""Port of a cloud's enrollment, where an address names none."""
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_PORT}"
DEFAULT_TIMEOUT = 120.0
"""Time limit for a whole question, in seconds."""
DEFAULT_CONNECT_TIMEOUT = 3.0
"""Time limit for the connection to the cloud, in seconds."""
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
    """Maximum number of signal tokens; None: pair's default."""
    chunk_tokens: int | None
    """Maximum number of tokens in a chunk of the signal; None: what the service sends."""
    answer_tokens: int | None
    """Maximum number of answer tokens; None: pair's default."""
    temperature: float | None
    """Sampling temperature, 0 or 0.01 to 2; None: pair's default."""
    seed: int | None
    """Sampling seed; None: random."""
    timeout: float
    """Total time limit in seconds, from when the question is read."""
    connect_timeout: float
    """Connection timeout in seconds."""
    route: Choice
    """Who answers: the device where its calibration trusts it, the cloud, or the device."""
    force: bool
    """Answer with route device even if the decoder is not useful alone."""
    device_only: bool
    """Answer without the cloud; open no connection."""
    require_cloud: bool
    """Fail instead of answering without the cloud."""
    stop: Stop
    """End a signal once it is enough, if the pair is calibrated for it, or never."""
    rounds: int
    """Maximum number of signals; the device asks for more while the answer is doubtful."""
    prompt_lookup: bool
    """Speculative decoding by prompt lookup, while that is faster."""


class ClientSettings(QuestionSettings, total=False):
    """Fields of `Settings`; the additional ones are fixed for the life of a client."""

    server: str
    """Address of the cloud, or several: the next one answers if one fails."""
    threads: int | None
    """Decoder threads; None: as measured, else processors less one, at most 8."""


def question_settings(settings: ClientSettings) -> QuestionSettings:
    """Return those settings that may change from question to question."""
    names = QuestionSettings.__annotations__
    return cast("QuestionSettings", {k: v for k, v in settings.items() if k in names})


def client_settings(options: ClientSettings) -> ClientSettings:
    """Return the settings among options that may have others, too."""
    names = ClientSettings.__annotations__
    return cast("ClientSettings", {k: v for k, v in options.items() if k in names})
