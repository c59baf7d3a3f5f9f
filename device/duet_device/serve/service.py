"""Answer requests with warm clients, whoever brings them, and know when there is nothing to do."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from duet_device.ask_request import AskRequest
from duet_device.asking import Asking
from duet_device.deadline import Deadline
from duet_device.errors import CloudBusy, VaultLocked
from duet_device.serve.warm_clients import WarmClients
from duet_device.vault.vault import passphrase_wanted

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
