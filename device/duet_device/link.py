"""One question's signal from the cloud; its chunks are handed over as they arrive.

A thread reads the stream into a queue, so that the decoder can load and evaluate meanwhile. After a
cut it asks again, on the same server or on another, and the signal continues after what arrived:
the reader of the queue sees one stream.
"""

import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import grpc

from duet_contract.channels import ASKED_BEFORE
from duet_contract.console import signals_held
from duet_contract.v1.inference_pb2 import (
    DESCRIPTOR,
    ReasonRequest,
    ReasonResponse,
    SignalChunk,
    SignalEnd,
)
from duet_device.deadline import POLL_S, Deadline
from duet_device.errors import BrokenSignal, CloudUnreachable, DeviceError, SignalLate
from duet_device.events import Event, Note, Sent
from duet_device.held_signal import HeldSignal
from duet_device.link_errors import Failure, Kind, failure_of
from duet_device.retries import Next, Retries
from duet_device.servers import Connected, NotConnected, Server, by_preference, connect
from duet_device.tracing import trace_metadata

_REASON = f"/{DESCRIPTOR.services_by_name['InferenceService'].full_name}/Reason"
# What gRPC puts before each message: a flag and the length.
FRAME_BYTES = 5
# Seconds that `cancel` waits for the thread, which ends at once.
_JOIN_S = 2.0


class _Call(Protocol):
    def __iter__(self) -> Iterator[ReasonResponse]: ...

    def cancel(self) -> bool: ...


@dataclass(frozen=True)
class Arrival:
    """A message from the cloud."""

    at: float
    """Time of arrival, a `time.perf_counter()` value."""
    message: SignalChunk | SignalEnd
    """The message."""


@dataclass(frozen=True)
class Restart:
    """Discard what arrived before; the part of it that counts arrives again."""


Item = Arrival | Note | Restart


class _Stopped(Exception):
    """`cancel` was called."""


class Link:
    """One question's signal. The constructor asks; `cancel` stops the cloud's work at once.

    Nothing is printed, and no thread remains, however soon `cancel` follows or a channel's owner
    closes it.

    Args:
        servers: the preferred one first; their owner closes them after `cancel`, which must be
            called in any case.
        request: the question.
        deadline: becomes the calls' deadline.
        connect_timeout: time limit for a connection in seconds.
        budget: maximum number of signal tokens; that of the request, if None.
        vocabulary: size of the decoder's vocabulary; None if the reader checks token ids.
    """

    requests: list[ReasonRequest]
    """All that left the device."""
    connected: float | None
    """When a connection was first ready, as a `time.perf_counter()` value; None before."""
    down: int
    """Bytes of messages received, gRPC's framing included."""
    kept_back: float
    """Seconds before the deadline that the device needs for its own part."""
    sources: list[str]
    """Names of the servers that the signal came from, one for each call."""

    def __init__(
        self,
        servers: Sequence[Server],
        request: ReasonRequest,
        deadline: Deadline,
        connect_timeout: float,
        *,
        budget: int | None = None,
        vocabulary: int | None = None,
    ) -> None:
        self.deadline = deadline
        self.kept_back = 0.0
        self.requests = []
        self.connected = None
        self.down = 0
        self.sources = []
        self._first = request
        # Of the thread that asks; the link's own has no span.
        self._trace = trace_metadata()
        self._connect_timeout = connect_timeout
        self._retries = Retries(by_preference(servers))
        start = request.signal_prefix if request.HasField("signal_prefix") else None
        self._held = HeldSignal(budget or request.budget or None, vocabulary, start)
        self._queue: queue.SimpleQueue[Item | Exception] = queue.SimpleQueue()
        self._call: _Call | None = None
        self._cancelled = threading.Event()
        # Held while a call begins, so that none begins after `cancel`.
        self._beginning = threading.Lock()
        self._noted: set[tuple[Server, Kind]] = set()
        self._is_complete = False
        self._thread = threading.Thread(target=self._run, name="duet-link", daemon=True)
        self._thread.start()

    @property
    def request(self) -> ReasonRequest:
        """What was asked last."""
        return self.requests[-1] if self.requests else self._first

    @property
    def held(self) -> SignalChunk:
        """The part of the signal that has arrived; read it after `cancel`."""
        return self._held.prefix()

    @property
    def up(self) -> int:
        """Bytes of requests sent."""
        return sum(request.ByteSize() + FRAME_BYTES for request in self.requests)

    def check_time(self) -> None:
        """Return while there is time for the signal.

        Raises:
            SignalLate: only the time for the device's own part is left.
        """
        if self.kept_back and self.deadline.remaining() <= self.kept_back:
            raise SignalLate("the cloud did not finish within the time given (--timeout)")

    def next(self) -> Item:
        """Wait for the next message.

        Raises:
            CloudUnreachable, CloudRefused, PairMismatch: no server gives the signal, or the rest.
            SignalLate: it would come too late.
            DeadlineExceeded, Interrupted: see `Deadline`.
        """
        while True:
            self.deadline.check()
            left = self.deadline.remaining() - self.kept_back
            if (item := self.poll(max(0.0, min(POLL_S, left)))) is not None:
                return item
            self.check_time()

    def poll(self, seconds: float) -> Item | None:
        """Wait for the next message for `seconds`; return None if no message arrived."""
        try:
            item = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        return item

    def cancel(self) -> None:
        """End the call and its thread; do nothing once the signal is complete."""
        with signals_held():
            with self._beginning:
                self._cancelled.set()
            if self._call is not None:
                self._call.cancel()
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            while following := self._following():
                if self._ask(following):
                    return
            raise self._retries.error()
        except _Stopped:
            return
        except Exception as error:  # `next` must raise it instead of waiting.
            if not self._cancelled.is_set():
                self._queue.put(error)

    def _following(self) -> Next | None:
        """Return what to do next; None if nothing can help before the signal would be late."""
        now = time.monotonic()
        return self._retries.next(now, now + self.deadline.remaining() - self.kept_back)

    def _ask(self, following: Next) -> bool:
        """Connect and ask; return whether the signal is complete."""
        if self._cancelled.wait(following.wait):
            raise _Stopped
        began = time.monotonic()
        try:
            connected = connect(following.servers, self._connect_timeout, self._check)
        except NotConnected as error:
            for server, failure in error.failures.items():
                self._failed(server, failure, began)
            return False
        sources = len(self.sources)
        lost = self._call_and_read(connected, began)
        if lost is None:
            return True
        if isinstance(lost.error, BrokenSignal):
            # What other calls brought stays: one server must not take away what another one sent.
            del self.sources[sources:]
            if self._held.drop():
                self._queue.put(Restart())
                if not self._held.is_empty:
                    self._queue.put(Arrival(time.perf_counter(), self._held.after_start()))
        elif self._held.is_full:
            # Only the last message is missing, which says nothing that is not known.
            self._queue.put(Arrival(time.perf_counter(), self._held.end()))
            return True
        self._failed(connected.server, lost, began)
        return False

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise _Stopped
        self.deadline.check()

    def _failed(self, server: Server, failure: Failure, began: float) -> None:
        """Note what happened, and say what follows from it."""
        if self._cancelled.is_set():
            raise _Stopped
        now = time.monotonic()
        holds = not self._held.is_empty
        self._retries.failed(server, failure, now, lasted=now - began, holds=holds)
        following = self._following()
        # A question may fail for as long as it has time: the user learns of each kind once.
        if following is None or (server, failure.kind) in self._noted:
            return
        self._noted.add((server, failure.kind))
        other = "" if server in following.servers else following.servers[0].name
        if holds:
            what = f"the signal continues at {other}" if other else "the signal continues"
        else:
            what = f"asking {other or 'again'}"
        wait = f" in {following.wait:.1f} s" if following.wait >= 0.1 else ""
        self._queue.put(Note(f"{failure.error}; {what}{wait}"))

    def _call_and_read(self, connected: Connected, began: float) -> Failure | None:
        """Ask a server; return what went wrong before the signal was complete."""
        server, failure = connected.server, None
        self.connected = self.connected or time.perf_counter()
        try:
            for other, unreached in connected.failures.items():
                self._failed(other, unreached, began)
            self._read(self._begin(connected), server)
        except grpc.RpcError as error:
            failure = failure_of(error, server.name)
        except BrokenSignal as error:
            failure = Failure(Kind.REFUSED, error)
        except CloudUnreachable as error:
            failure = Failure(Kind.FAILED, error)
        finally:
            # A call that was cancelled here says nothing of its server.
            if self._is_complete or self._cancelled.is_set():
                failure = None
            failed = failure is not None and failure.kind in (Kind.LOST, Kind.FAILED)
            server.release(connected.channel, failed=failed)
        return failure

    def _begin(self, connected: Connected) -> _Call:
        # Not the generated stub, which ends the process by a segmentation fault if another thread
        # has closed the channel: it registers its methods with a channel that is gone.
        reason = connected.channel.unary_stream(
            _REASON,
            request_serializer=ReasonRequest.SerializeToString,
            response_deserializer=ReasonResponse.FromString,
        )
        with self._beginning:
            if self._cancelled.is_set():
                raise _Stopped
            request, metadata = self._first, self._trace
            if self.requests:
                request = self._held.request(self._first)
                metadata = (*(metadata or ()), ASKED_BEFORE)
            self._held.begin()
            self.requests.append(request)
            try:
                self._call = reason(
                    request, timeout=max(0.0, self.deadline.remaining()), metadata=metadata
                )
            except ValueError as error:
                closed = f"the channel to {connected.server.name} was closed"
                raise CloudUnreachable(closed) from error
            return self._call

    def _read(self, call: _Call, server: Server) -> None:
        try:
            self._take(call, server)
        finally:
            # The rest is not needed.
            _finish(call)

    def _take(self, responses: Iterable[ReasonResponse], server: Server) -> None:
        begun = False
        for response in responses:
            if self._is_complete:
                return
            at = time.perf_counter()
            self.down += response.ByteSize() + FRAME_BYTES
            event = response.WhichOneof("event")
            # Checked before it is queued: a queue that is not read yet must not grow beyond a signal.
            if event == "chunk":
                self._held.add(response.chunk)
                self._retries.progressed()
            elif event == "end":
                self._held.check_end(response.end)
            else:
                raise BrokenSignal(f"the cloud at {server.name} sent an unknown message")
            if not begun:
                begun = True
                self.sources.append(server.name)
            # The end of the stream is awaited after it: a cancelled call would not count as answered.
            self._is_complete = event == "end"
            self._queue.put(Arrival(at, response.end if event == "end" else response.chunk))
        if not self._is_complete:
            raise CloudUnreachable("the signal ended without its last message")


_Returned = TypeVar("_Returned")
_Event = TypeVar("_Event", bound=Event)


def cancelled(
    link: Link | None, events: Generator[_Event, None, _Returned]
) -> Generator[_Event | Sent, None, _Returned]:
    """Yield events, with a `Sent` for each request that left; cancel the call in the end.

    Args:
        link: cancelled when the events end, fail, or are closed; None for none.
        events: a generator, which is closed as well.

    Returns:
        What `events` return.
    """
    if link is None:
        return (yield from events)
    reported = 0

    def new() -> Iterator[Sent]:
        nonlocal reported
        while reported < len(link.requests):
            reported += 1
            yield Sent(link.requests[reported - 1])

    try:
        with closing(events):
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    returned: _Returned = end.value
                    return returned
                yield from new()
                yield event
    except DeviceError:
        # Nothing leaves after this.
        link.cancel()
        yield from new()
        raise
    finally:
        link.cancel()


def _finish(call: _Call) -> None:
    """Cancel a call, and read it to its end: gRPC frees the call, its channel and sockets then.

    The iterator of a call without a thread of its own (`SingleThreadedUnaryStream`) ends as soon as
    the call is cancelled or a message cannot be parsed, and leaves the end unread. So this asks the
    parts of the call that the iterator asks (grpcio 1.83 to 1.85).
    """
    call.cancel()
    parts: Any = call
    if not hasattr(parts, "_consume_next_event"):
        # Of a channel that the user opened; a thread of gRPC's reads it.
        return
    code, _ = grpc.StatusCode.CANCELLED.value
    # `cancel` leaves a call alone whose message could not be parsed.
    parts._call.cancel(code, "the rest is not needed")
    while parts._state.due:
        parts._consume_next_event()
