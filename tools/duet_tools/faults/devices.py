"""Devices in this process: `duet_device.Client` with one decoder, asked from a thread with a limit."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Self, Unpack

from duet_contract.receipt import Receipt
from duet_device.client import Client
from duet_device.errors import DeviceError
from duet_device.events import Note, Result
from duet_device.pairs.pair import load_decoder
from duet_device.setting_types import QuestionSettings
from duet_tools.faults.trials import Setting, Unheld

QUESTION = "Nina had 40 euros. She bought 3 books for 8 euros each. How much is left?"
# A question that takes so much longer than its time limit hangs.
_PATIENCE_S = 5.0
SPLIT = "answered by the split"
PART = "answered from a part of the signal"
ALONE = "the device alone"
UNREACHED = frozenset({PART, ALONE, "error: unreachable", "error: deadline"})
"""Outcomes that are defined where no cloud completes the signal."""


@dataclass
class Asked:
    """What became of a question."""

    receipt: Receipt | None = None
    """The receipt; None if there is no answer."""
    error: str = ""
    """The error in a word or two; empty if there is an answer."""
    notes: tuple[str, ...] = ()
    """Notes for the user."""
    seconds: float = 0.0
    """Time from the question to its end."""

    @property
    def outcome(self) -> str:
        """How it ended, in a word or two."""
        if self.receipt is None:
            return self.error or "hangs"
        if self.receipt.source != "duet":
            return ALONE
        return PART if self.receipt.outcome == "partial" else SPLIT

    def check_split(self) -> Receipt:
        """Return the receipt of an answer of the split.

        Raises:
            Unheld: it ended otherwise.
        """
        if self.receipt is None or self.outcome != SPLIT:
            raise Unheld(self.outcome)
        return self.receipt


class Device:
    """A device, as a context manager; it may be asked from one thread at a time."""

    def __init__(self, setting: Setting) -> None:
        self._pair = setting.workload.pair
        self._decoder = load_decoder(self._pair, threads=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def reserve(self, tokens: int) -> None:
        """Make room for a sequence of `tokens`, so that no question has to."""
        self._decoder.reserve(tokens)

    def ask(self, server: str, **settings: Unpack[QuestionSettings]) -> Asked:
        """Ask one question on connections of its own, greedily.

        Args:
            server: where.
            **settings: of the client; `timeout` is 20 s by default.

        Returns:
            What became of it, at the latest some seconds after its time limit.
        """
        asked = Asked()
        given: QuestionSettings = {"timeout": 20.0, "temperature": 0.0}
        given.update(settings)
        began = time.monotonic()

        def ask() -> None:
            notes: list[str] = []
            try:
                with Client(self._pair, decoder=self._decoder, server=server, **given) as client:
                    for event in client.stream(QUESTION):
                        if isinstance(event, Note):
                            notes.append(event.text)
                        elif isinstance(event, Result):
                            asked.receipt = event.receipt
            except DeviceError as error:
                asked.error = f"error: {error.exit_code.name.lower()}"
                notes.append(str(error))
            except Exception as error:
                asked.error = f"{type(error).__name__} is raised"
            asked.notes = tuple(notes)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(given["timeout"] + _PATIENCE_S)
        asked.seconds = time.monotonic() - began
        return asked


@contextmanager
def devices(setting: Setting, count: int) -> Iterator[list[Device]]:
    """Several devices."""
    with ExitStack() as stack:
        yield [stack.enter_context(Device(setting)) for _ in range(count)]


@contextmanager
def keep_asking(
    asking: Sequence[Device], server: str, asked: list[Asked], **settings: Unpack[QuestionSettings]
) -> Iterator[None]:
    """Let each device ask one question after the other meanwhile; `asked` gets all of them."""
    over = threading.Event()

    def ask(device: Device) -> None:
        while not over.is_set():
            asked.append(device.ask(server, **settings))

    with ThreadPoolExecutor(len(asking)) as pool:
        running = [pool.submit(ask, device) for device in asking]
        try:
            yield
        finally:
            over.set()
    for each in running:
        each.result()
