"""Answer requests with warm clients, whoever brings them, and know when there is nothing to do."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing, contextmanager

from duet_contract.errors import ContractError
from duet_device.ask_request import AskRequest
from duet_device.asking import Asking
from duet_device.deadline import Deadline
from duet_device.errors import CloudBusy, DeviceError, ModelProblem, VaultLocked
from duet_device.events import AskEvent
from duet_device.serve.warm_clients import WarmClients
from duet_device.vault.vault import passphrase_wanted

log = logging.getLogger("duet_device.serve")

# Questions in progress and waiting, each with a thread.
MOST_QUESTIONS = 32


class Service:
    """Answers requests. May be used from several threads.

    Args:
        clients: to answer with.
    """

    def __init__(self, clients: WarmClients) -> None:
        self.clients = clients
        self._lock = threading.Lock()
        self._deadlines: set[Deadline] = set()
        self._last = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since the last question ended; 0 while one is in progress."""
        with self._lock:
            return 0.0 if self._deadlines else time.monotonic() - self._last

    @contextmanager
    def asking(
        self, request: AskRequest, deadline: Deadline, *, alone: bool = False
    ) -> Iterator[Asking]:
        """Prepare a request; read its events inside.

        Args:
            request: what to answer.
            deadline: of all of it.
            alone: have the client alone, as for many questions; see `WarmClients.using`.

        Raises:
            CloudBusy: too many questions wait already.
            VaultLocked: the answer would need a passphrase, which is asked for on a terminal.
            ModelProblem: there is no such pair.
            UsageProblem: a setting is out of range.
        """
        with self._lock:
            if len(self._deadlines) >= MOST_QUESTIONS:
                raise CloudBusy(f"{MOST_QUESTIONS} questions wait already", 1.0)
            self._deadlines.add(deadline)
        try:
            if passphrase_wanted():
                raise VaultLocked(
                    "the passphrase is needed: start duet-device serve in a terminal, "
                    "or set DUET_PASSPHRASE"
                )
            with self.clients.using(request, alone=alone) as client:
                yield Asking(request, client, deadline)
        finally:
            with self._lock:
                self._deadlines.discard(deadline)
                self._last = time.monotonic()

    def stop(self) -> None:
        """Interrupt every question, and free the clients."""
        with self._lock:
            for deadline in self._deadlines:
                deadline.interrupt()
                deadline.stop.set()
        self.clients.close()


async def stream(
    service: Service, request: AskRequest, deadline: Deadline
) -> AsyncGenerator[AskEvent]:
    """Answer a request in a thread; closing the stream, or cancelling its task, stops it.

    Raises:
        DeviceError: the question was not answered.
    """
    queue: asyncio.Queue[AskEvent | DeviceError | None] = asyncio.Queue()
    in_loop = asyncio.get_running_loop().call_soon_threadsafe

    def answer() -> None:
        # The thread runs ahead of a slow reader, by an answer at most.
        for item in _items(service, request, deadline):
            in_loop(queue.put_nowait, item)
        in_loop(queue.put_nowait, None)

    _start(answer)
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, DeviceError):
                raise item
            yield item
    finally:
        deadline.interrupt()


async def whole(service: Service, request: AskRequest, deadline: Deadline) -> list[AskEvent]:
    """Answer a request as `stream` does, and return all its events at its end.

    The event loop wakes once: each time it does, the thread that answers loses the interpreter's lock.

    Raises:
        DeviceError: the question was not answered.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[list[AskEvent | DeviceError]] = loop.create_future()

    def end(items: list[AskEvent | DeviceError]) -> None:
        if not ended.done():
            ended.set_result(items)

    def answer() -> None:
        loop.call_soon_threadsafe(end, list(_items(service, request, deadline)))

    _start(answer)
    try:
        items = await ended
    finally:
        deadline.interrupt()
    events = []
    for item in items:
        if isinstance(item, DeviceError):
            raise item
        events.append(item)
    return events


def _start(answer: Callable[[], None]) -> None:
    threading.Thread(target=answer, name="duet-serve-question", daemon=True).start()


def _items(
    service: Service, request: AskRequest, deadline: Deadline
) -> Iterator[AskEvent | DeviceError]:
    """Yield the events of a request; if it is not answered, the last one is the error."""
    try:
        with (
            service.asking(request, deadline) as asking,
            closing(asking.events()) as events,
        ):
            yield from events
    except DeviceError as error:
        yield error
    except ContractError as error:
        yield ModelProblem(str(error))
    except Exception:
        log.exception("a question failed")
        yield ModelProblem("the local server failed; its log says why")
