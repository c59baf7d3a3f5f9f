"""The link: asks the cloud for a signal and hands its chunks over as they arrive.

A thread reads the stream into a queue, so that the decoder can load and evaluate meanwhile.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import grpc

from duet_contract.connections import connection_states
from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse, SignalChunk, SignalEnd
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_device.deadline import Deadline
from duet_device.errors import CloudBusy, CloudUnreachable, DeviceError
from duet_device.link_errors import device_error, retry_after
from duet_device.question import asked_again
from duet_device.signal_limits import SignalLimits

# What gRPC puts before each message: a flag and the length.
FRAME_BYTES = 5
# How long a wait goes on before it looks whether somebody stopped the question, in seconds.
_POLL = 0.1
# Seconds that `cancel` waits for a thread, which ends at once unless a note takes its time.
_JOIN = 2.0


@dataclass(frozen=True)
class Arrival:
    """A message from the cloud and when it came (`time.perf_counter()`)."""

    at: float
    message: SignalChunk | SignalEnd


class Link:
    """One question's stream. Starts when made; `cancel` stops the cloud's work at once.

    `connected`, `down`: when the link stood (`perf_counter`, None before), and bytes of messages
    received, gRPC's framing included.

    Nothing is printed, and no thread remains, however soon `cancel` follows or the channel's owner
    closes it.

    Args:
        channel: to the cloud; closed by `cancel`, which is to be called in any case.
        keep: leaves the channel open for another question.
        server: its name in messages.
        request: the question; `Link.request` is what was asked last, `Link.requests` all of it.
        deadline: becomes the call's deadline.
        connect_timeout: seconds until the link must stand.
        note: told, in one line, when the question is asked a second time. Called from a thread.
        budget: most tokens of the signal; that of the request, if None.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        server: str,
        request: ReasonRequest,
        deadline: Deadline,
        connect_timeout: float,
        note: Callable[[str], None] = lambda _: None,
        *,
        keep: bool = False,
        budget: int | None = None,
    ) -> None:
        self._channel = channel
        self._keep = keep
        self._server = server
        self.request = request
        self._deadline = deadline
        self._connect_timeout = connect_timeout
        self._note = note
        self._budget = budget or request.budget or None
        self._queue: queue.SimpleQueue[Arrival | Exception] = queue.SimpleQueue()
        self._call: grpc.Call | None = None
        self._cancelled = threading.Event()
        self._too_late = threading.Event()
        self._settled = threading.Event()
        # Held while a call is begun, so that none begins once the question was given up.
        self._beginning = threading.Lock()
        self._received = self._unreached = False
        self.requests: list[ReasonRequest] = []
        self.connected: float | None = None
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
    def sent(self) -> bool:
        """Whether the request may have left: where nothing shows that it stayed, it did."""
        return bool(self.requests and (self.connected or not self._unreached))

    def next(self) -> Arrival:
        """Waits for the next message.

        Raises:
            CloudUnreachable, CloudRefused, PairMismatch: the call failed.
            DeadlineExceeded, Interrupted: see `Deadline`.
        """
        while True:
            self._deadline.check()
            try:
                item = self._queue.get(timeout=max(0.0, min(_POLL, self._deadline.remaining())))
            except queue.Empty:
                continue
            return _arrival(item)

    def poll(self, seconds: float) -> Arrival | None:
        """`next`, but None if nothing comes within `seconds`, which are to be few."""
        try:
            return _arrival(self._queue.get(timeout=seconds))
        except queue.Empty:
            return None

    def cancel(self) -> None:
        """Ends the call and the link's threads, and closes the channel if it is not to be kept;
        does no harm once the call is over.
        """
        with self._beginning:
            self._cancelled.set()
        self._settled.set()
        if self._call is not None:
            self._call.cancel()
        if not self._keep:
            self._channel.close()
        for thread in self._threads:
            thread.join(_JOIN)

    def _watch(self) -> None:
        """Notes when the connection is ready, and ends the call if that takes too long."""
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
                        self._queue.put(failure)
                        return
                    self._note(f"{failure}; asking again in {wait:.1f} s")
                    if self._cancelled.wait(wait):
                        return
        except Exception as error:  # `next` must raise it instead of waiting on.
            if not self._cancelled.is_set():
                self._queue.put(error)

    def _attempt(self) -> None:
        stub = InferenceServiceStub(self._channel)
        with self._beginning:
            if self._cancelled.is_set():
                return
            if self.requests:
                # The cloud may not have seen yet that the first call's link is gone.
                self.request = asked_again(self.request)
            self.requests.append(self.request)
            try:
                call = stub.Reason(self.request, timeout=max(0.0, self._deadline.remaining()))
            except ValueError as error:
                raise CloudUnreachable(f"the channel to {self._server} was closed") from error
            self._call = call
        if self._too_late.is_set():
            call.cancel()
        try:
            self._read(call)
        finally:
            # Whatever else would come is not wanted; gRPC frees a call once it is read to its end.
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
                raise CloudUnreachable(f"the cloud at {self._server} sent what nobody expects here")
            done = event == "end"
            # Before it is kept: a queue that nobody reads yet must not grow beyond a signal.
            if done:
                limits.check_done(response.end)
            else:
                limits.check_chunk(response.chunk)
            self._queue.put(Arrival(at, response.end if done else response.chunk))
        if not done:
            raise CloudUnreachable("the signal ended without its last message")

    def _judge(self, error: grpc.RpcError) -> tuple[DeviceError, float | None]:
        """The device's error, and after how many seconds to ask again, if at all."""
        if self._too_late.is_set():
            self._unreached = True
            seconds = f"{self._connect_timeout:g} s"
            return CloudUnreachable(f"no cloud at {self._server}: no link within {seconds}"), None
        failure = device_error(error, self._server)
        # Never twice after a chunk, nor where the cloud may be working on it.
        # The connection's state is told by another thread, perhaps a little later.
        self._settled.wait(_POLL)
        unavailable = isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNAVAILABLE
        may_repeat = isinstance(failure, CloudBusy) or (unavailable and self.connected)
        self._unreached = unavailable and not self.connected
        if self._received or not may_repeat or len(self.requests) > 1:
            return failure, None
        wait = retry_after(error)
        if wait is None:
            wait = 0.0 if unavailable else None
        if wait is not None and wait >= self._deadline.remaining():
            wait = None
        return failure, wait


def _arrival(item: Arrival | Exception) -> Arrival:
    if isinstance(item, Exception):
        raise item
    return item
