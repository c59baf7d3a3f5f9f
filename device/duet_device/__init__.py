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
    from duet_device.async_client import AsyncClient as AsyncClient
    from duet_device.client import Client as Client
    from duet_device.errors import (
        CloudBusy as CloudBusy,
    )
    from duet_device.errors import (
        CloudRefused as CloudRefused,
    )
    from duet_device.errors import (
        CloudUnreachable as CloudUnreachable,
    )
    from duet_device.errors import (
        DeadlineExceeded as DeadlineExceeded,
    )
    from duet_device.errors import (
        DeviceError as DeviceError,
    )
    from duet_device.errors import (
        IdentityProblem as IdentityProblem,
    )
    from duet_device.errors import (
        Interrupted as Interrupted,
    )
    from duet_device.errors import (
        ModelProblem as ModelProblem,
    )
    from duet_device.errors import (
        PairMismatch as PairMismatch,
    )
    from duet_device.errors import (
        UntrustedPair as UntrustedPair,
    )
    from duet_device.errors import (
        UsageProblem as UsageProblem,
    )
    from duet_device.errors import (
        VaultError as VaultError,
    )
    from duet_device.events import (
        AnswerText as AnswerText,
    )
    from duet_device.events import (
        Event as Event,
    )
    from duet_device.events import (
        Note as Note,
    )
    from duet_device.events import (
        Result as Result,
    )
    from duet_device.events import (
        Sent as Sent,
    )
    from duet_device.events import (
        SignalText as SignalText,
    )
    from duet_device.events import (
        Timings as Timings,
    )
    from duet_device.pairs.pair import Pair as Pair
    from duet_device.pairs.pair import open_pair as open_pair
    from duet_device.question import Question as Question
    from duet_device.settings import Settings as Settings

# Imported when first used: `duet-device --help` needs neither gRPC nor llama.cpp.
_MODULES = {
    "async_client": "AsyncClient",
    "client": "Client",
    "errors": "CloudBusy CloudRefused CloudUnreachable DeadlineExceeded DeviceError "
    "IdentityProblem Interrupted ModelProblem PairMismatch UntrustedPair UsageProblem VaultError",
    "events": "AnswerText Event Note Result Sent SignalText Timings",
    "pairs.pair": "Pair open_pair",
    "question": "Question",
    "settings": "Settings",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
