"""One call to the cloud for a signal; its chunks are handed over as they arrive.

A thread reads the stream into a queue, so that the decoder can load and evaluate meanwhile.
"""

import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import grpc

from duet_contract.connections import connection_states
from duet_contract.v1.inference_pb2 import (
    DESCRIPTOR,
    ReasonRequest,
    ReasonResponse,
    SignalChunk,
    SignalEnd,
)
from duet_device.deadline import POLL_S, Deadline
from duet_device.errors import CloudBusy, CloudUnreachable, DeviceError
from duet_device.events import Event, Note, Sent
from duet_device.link_errors import device_error, retry_after
from duet_device.question import asked_again
from duet_device.signal_limits import SignalLimits

_REASON = f"/{DESCRIPTOR.services_by_name['InferenceService'].full_name}/Reason"
# What gRPC puts before each message: a flag and the length.
FRAME_BYTES = 5
# Seconds that a failed call waits to learn from the other thread whether it was connected.
_SETTLE_S = 0.1
# Seconds that `cancel` waits for a thread, which ends at once.
_JOIN_S = 2.0


@dataclass(frozen=True)
class Arrival:
    """A message from the cloud."""

    at: float
    """Time of arrival, a `time.perf_counter()` value."""
    message: SignalChunk | SignalEnd
    """The message."""


class Link:
    """One question's stream. The constructor starts it; `cancel` stops the cloud's work at once.

    Nothing is printed, and no thread remains, however soon `cancel` follows or the channel's owner
    closes it.

    Args:
        channel: to the cloud; its owner closes it after `cancel`, which is to be called in any case.
        server: its name in messages.
        request: the question.
        deadline: becomes the call's deadline.
        connect_timeout: time limit for the connection in seconds.
        budget: maximum number of signal tokens; that of the request, if None.
    """

    request: ReasonRequest
    """What was asked last."""
    requests: list[ReasonRequest]
    """All that was asked: two, if the first call was repeated."""
    connected: float | None
    """When the connection was ready, as a `time.perf_counter()` value; None before."""
    down: int
    """Bytes of messages received, gRPC's framing included."""
    broken: bool
    """Whether the call failed in a way that may not occur on another connection."""

    def __init__(
        self,
        channel: grpc.Channel,
        server: str,
        request: ReasonRequest,
        deadline: Deadline,
        connect_timeout: float,
        *,
        budget: int | None = None,
    ) -> None:
        self._channel = channel
        self._server = server
        self.request = request
        self.deadline = deadline
        self._connect_timeout = connect_timeout
        self._budget = budget or request.budget or None
        self._queue: queue.SimpleQueue[Arrival | Note | Exception] = queue.SimpleQueue()
        self._call: grpc.Call | None = None
        self._cancelled = threading.Event()
        self._too_late = threading.Event()
        self._settled = threading.Event()
        # Held while a call begins, so that none begins after `cancel`.
        self._beginning = threading.Lock()
        self._received = self._unreached = self._over = self.broken = False
        self.requests = []
        self.connected = None
        self.down = 0
        self._threads = [
            threading.Thread(target=self._watch, name="duet-link-connection", daemon=True),
            threading.Thread(target=self._run, name="duet-link", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def up(self) -> int:
        """Bytes of requests sent."""
        return len(self.requests) * (self.request.ByteSize() + FRAME_BYTES) if self.connected else 0

    @property
    def sent(self) -> list[ReasonRequest]:
        """The requests that left the device; after a failed call, those that may have left."""
        if self.connected or (self._over and not self._unreached):
            return self.requests
        return []

    def next(self) -> Arrival | Note:
        """Wait for the next message.

        Raises:
            CloudUnreachable, CloudRefused, PairMismatch: the call failed.
            DeadlineExceeded, Interrupted: see `Deadline`.
        """
        while True:
            self.deadline.check()
            arrival = self.poll(max(0.0, min(POLL_S, self.deadline.remaining())))
            if arrival is not None:
                return arrival

    def poll(self, seconds: float) -> Arrival | Note | None:
        """Wait for the next message for `seconds`; return None if no message arrived."""
        try:
            item = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        return item

    def cancel(self) -> None:
        """End the call and its threads; do nothing once the call is over."""
        with self._beginning:
            self._cancelled.set()
        self._settled.set()
        if self._call is not None:
            self._call.cancel()
        for thread in self._threads:
            thread.join(_JOIN_S)
        self._over = True

    def _watch(self) -> None:
        """Note when the connection is ready, and end the call if that takes too long."""
        end = time.monotonic() + self._connect_timeout
        for state in connection_states(self._channel):
            if self._cancelled.is_set() or self._received:
                break
            if state is grpc.ChannelConnectivity.READY:
                self.connected = time.perf_counter()
                break
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                break
            if time.monotonic() >= end:
                self._too_late.set()
                if self._call is not None:
                    self._call.cancel()
                break
        self._settled.set()

    def _run(self) -> None:
        try:
            while True:
                try:
                    self._attempt()
                    return
                except grpc.RpcError as error:
                    failure, wait = self._judge(error)
                    if wait is None:
                        raise failure from error
                    self._queue.put(Note(f"{failure}; asking again in {wait:.1f} s"))
                    if self._cancelled.wait(wait):
                        return
        except Exception as error:  # `next` must raise it instead of waiting.
            self._over = True
            if not self._cancelled.is_set():
                self.broken = not isinstance(error, CloudBusy)
                self._queue.put(error)

    def _attempt(self) -> None:
        # Not the generated stub, which ends the process by a segmentation fault if another thread
        # has closed the channel: it registers its methods with a channel that is gone.
        reason = self._channel.unary_stream(
            _REASON,
            request_serializer=ReasonRequest.SerializeToString,
            response_deserializer=ReasonResponse.FromString,
        )
        with self._beginning:
            if self._cancelled.is_set():
                return
            if self.requests:
                # The cloud may not have seen yet that the first call's link is gone.
                self.request = asked_again(self.request)
            self.requests.append(self.request)
            try:
                call = reason(self.request, timeout=max(0.0, self.deadline.remaining()))
            except ValueError as error:
                raise CloudUnreachable(f"the channel to {self._server} was closed") from error
            self._call = call
        if self._too_late.is_set():
            call.cancel()
        try:
            self._read(call)
        finally:
            # The rest is not needed; gRPC frees a call once it is read to its end.
            call.cancel()
            with suppress(grpc.RpcError):
                for _ in call:
                    pass

    def _read(self, call: Iterable[ReasonResponse]) -> None:
        limits = SignalLimits(self._budget)
        done = False
        for response in call:
            at = time.perf_counter()
            if done:
                return
            self._received = True
            self.connected = self.connected or at
            self.down += response.ByteSize() + FRAME_BYTES
            event = response.WhichOneof("event")
            if event is None:
                raise CloudUnreachable(f"the cloud at {self._server} sent an unknown message")
            done = event == "end"
            # Before it is queued: a queue that is not read yet must not grow beyond a signal.
            if done:
                limits.check_done(response.end)
            else:
                limits.check_chunk(response.chunk)
            self._queue.put(Arrival(at, response.end if done else response.chunk))
        if not done:
            raise CloudUnreachable("the signal ended without its last message")

    def _judge(self, error: grpc.RpcError) -> tuple[DeviceError, float | None]:
        """Return the device's error and the delay of a retry in seconds; None for no retry."""
        if self._too_late.is_set():
            self._unreached = True
            seconds = f"{self._connect_timeout:g} s"
            return CloudUnreachable(f"no cloud at {self._server}: no link within {seconds}"), None
        failure = device_error(error, self._server)
        # Never twice after a chunk, nor where the cloud may be working on it.
        # Another thread reports the connection's state, perhaps a little later.
        self._settled.wait(_SETTLE_S)
        unavailable = isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNAVAILABLE
        may_repeat = isinstance(failure, CloudBusy) or (unavailable and self.connected)
        self._unreached = unavailable and not self.connected
        if self._received or not may_repeat or len(self.requests) > 1:
            return failure, None
        wait = retry_after(error)
        if wait is None:
            wait = 0.0 if unavailable else None
        if wait is not None and wait >= self.deadline.remaining():
            wait = None
        return failure, wait


def cancelled(link: Link, events: Generator[Event]) -> Generator[Event]:
    """Yield events, with a `Sent` for each request that left; cancel the call in the end.

    Args:
        link: cancelled when the events end, fail, or are closed.
        events: a generator, which is closed as well.
    """
    reported = 0

    def new() -> Iterator[Sent]:
        nonlocal reported
        while reported < len(link.sent):
            reported += 1
            yield Sent(link.sent[reported - 1])

    try:
        with closing(events):
            for event in events:
                yield from new()
                yield event
    except DeviceError:
        # Nothing leaves after this.
        link.cancel()
        yield from new()
        raise
    finally:
        link.cancel()
