"""One question at a time: whose turn it is, and how to end it from another thread."""

import inspect
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from duet_contract.console import signals_held
from duet_device.deadline import POLL_S, Deadline
from duet_device.errors import UsageProblem

_Item = TypeVar("_Item")


class TurnLock:
    """A lock that is held while a question is answered. Its holder alone uses what `free` frees.

    Args:
        free: frees decoder and connections, once the lock is closed and no question is answered.
    """

    def __init__(self, free: Callable[[], None]) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._thread: int | None = None
        # Weak, so that a stream that is dropped is closed at once.
        self._stream: weakref.ref[Generator[Any]] | None = None
        self._deadline: Deadline | None = None
        self.is_closed = False

    def check_open(self) -> None:
        """Return while questions may be asked.

        Raises:
            UsageProblem: `close` was called.
        """
        if self.is_closed:
            raise UsageProblem("this client is closed: open another Client")

    def stream(
        self, deadline: Callable[[], Deadline], events: Callable[[Deadline], Generator[_Item]]
    ) -> Generator[_Item]:
        """Return events that begin once no other question is being answered; `close` closes them.

        Args:
            deadline: called when the first event is asked for.
            events: called with the deadline when it is this question's turn.

        Raises:
            UsageProblem: the lock is closed.
        """
        self.check_open()
        itself: list[weakref.ref[Generator[Any]]] = []

        def stream() -> Generator[_Item]:
            limit = deadline()
            with self.taken(limit, itself[0]):
                limit.check()
                yield from events(limit)

        made = stream()
        itself.append(weakref.ref(made))
        return made

    @contextmanager
    def taken(
        self, deadline: Deadline, stream: weakref.ref[Generator[Any]] | None = None
    ) -> Iterator[None]:
        """Wait until no other question is being answered.

        Args:
            deadline: of the question.
            stream: the question's, which `close` closes.

        Raises:
            UsageProblem: this thread's own question is not finished, or the lock is closed.
            DeviceError: the deadline's.
        """
        thread = threading.get_ident()
        held = False
        try:
            while True:
                # A handler of a signal raises after the block, where `held` is known.
                with signals_held():
                    held = self._lock.acquire(timeout=POLL_S)
                if held:
                    break
                if self._thread == thread:
                    raise UsageProblem(
                        "this client is still answering: finish or close the stream before, "
                        "or open another Client"
                    )
                deadline.check()
            self.check_open()
            self._thread, self._deadline, self._stream = thread, deadline, stream
            yield
        finally:
            if held:
                self._release(free=self.is_closed)

    def close(self) -> None:
        """Stop the question that is being answered, and free; from any thread at any time."""
        self.is_closed = True
        held = False
        try:
            while not held:
                with signals_held():
                    held = self._lock.acquire(timeout=POLL_S)
                if not held and not self._stop():
                    return
        finally:
            if held:
                self._release(free=True)

    def _stop(self) -> bool:
        """Stop the question that is being answered; return whether to wait for its end."""
        if deadline := self._deadline:
            deadline.interrupt()
        stream = self._stream() if self._stream else None
        state = stream and inspect.getgeneratorstate(stream)
        if stream and state in (inspect.GEN_CREATED, inspect.GEN_SUSPENDED):
            with suppress(ValueError):  # Another thread has continued it since.
                stream.close()
            return True
        if self._thread != threading.get_ident():
            return True
        if state == inspect.GEN_CLOSED:
            # A second Ctrl-C came while it ended, and before it released the lock.
            self._free()
        # Else called from inside the question, as from a signal handler, which ends by it.
        return False

    def _release(self, *, free: bool) -> None:
        with signals_held():
            self._thread = self._deadline = self._stream = None
            try:
                if free:
                    self._free()
            finally:
                self._lock.release()
