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
    """With route "device": answer even if the decoder is not useful alone."""
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
