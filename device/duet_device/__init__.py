"""The device's half of DUET: answers questions with a small model and a large one's short signal.

Examples:
    >>> from duet_device import Client
    >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
    ...     print(client.ask("Gloria washes 3 cars every hour. How many in 3 hours?").answer)
    9
"""

from importlib import import_module
from typing import TYPE_CHECKING

# Configures TLS before anything here imports gRPC.
import duet_contract.transport as _transport  # noqa: F401

if TYPE_CHECKING:
    from duet_device.async_client import AsyncClient
    from duet_device.client import Client
    from duet_device.errors import (
        CloudBusy,
        CloudRefused,
        CloudUnreachable,
        DeadlineExceeded,
        DeviceError,
        IdentityProblem,
        Interrupted,
        ModelProblem,
        PairMismatch,
        UntrustedPair,
        UsageProblem,
        VaultError,
    )
    from duet_device.events import AnswerText, Event, Note, Result, Sent, SignalText, Timings
    from duet_device.pairs.pair import Pair, open_pair
    from duet_device.question import Question
    from duet_device.settings import Settings

__all__ = [  # noqa: RUF022 (by module)
    "AsyncClient", "Client", "CloudBusy", "CloudRefused", "CloudUnreachable", "DeadlineExceeded",
    "DeviceError", "IdentityProblem", "Interrupted", "ModelProblem", "PairMismatch",
    "UntrustedPair", "UsageProblem", "VaultError", "AnswerText", "Event", "Note", "Result", "Sent",
    "SignalText", "Timings", "Pair", "open_pair", "Question", "Settings",
]  # fmt: skip
# Imported when first used: `duet-device --help` needs neither gRPC nor llama.cpp.
_MODULES = {
    "AsyncClient": "async_client",
    "Client": "client",
    "Pair": "pairs.pair",
    "open_pair": "pairs.pair",
    "Question": "question",
    "Settings": "settings",
} | dict.fromkeys(
    ("AnswerText", "Event", "Note", "Result", "Sent", "SignalText", "Timings"), "events"
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
