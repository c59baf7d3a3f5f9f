"""Fetch a decoder from the cloud that serves its reasoner; resume where a link broke."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc

from duet_contract.manifest import PairFile
from duet_contract.v1.pairs_pb2 import FetchFileRequest, GetPairRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from duet_device.errors import CloudBusy, CloudUnreachable, DeadlineExceeded, DeviceError
from duet_device.identity.channel import open_channel
from duet_device.identity.credentials import parse_addresses
from duet_device.link_errors import device_error, retry_after
from duet_device.pairs.pulling.source import Progress, append, size_of

_DESCRIBE_S = 15.0
# Time limit of one stream. A stream that delivered no data failed; others are resumed at once.
_STREAM_S = 60.0
_MOST_FAILURES = 5
# A stream that delivers fewer bytes is a part of a failure: 20 of them in a row end the pull. A link
# of 9.6 kbit/s carries 70 KiB in the time of a stream.
_LEAST_BYTES, _PART = 4096, 0.25
_FIRST_WAIT_S, _MOST_WAIT_S = 0.5, 10.0
# Longest delay that a cloud may ask for.
_MOST_RETRY_S = 60.0
# Devices that were refused together must not come again together.
_JITTER = 0.25
_random = random.random


class CloudSource:
    """The cloud at one of several servers: another one is used where a link to one breaks.

    Args:
        servers: one "host:port", or several separated by commas, the preferred one first.
        pair: "id@version", or "id" for the newest; "" for the pair that the cloud serves first.
        note: receives one line when a broken link is resumed.
    """

    def __init__(self, servers: str, pair: str, note: Callable[[str], None]) -> None:
        self._servers = [str(address) for address in parse_addresses(servers)]
        self._pair = pair
        self._note = note
        self._open()

    @property
    def server(self) -> str:
        """The server in use, as "host:port"."""
        return self._servers[0]

    def describe(self) -> tuple[bytes, bytes | None]:
        """See `Source`.

        Raises:
            CloudUnreachable, CloudRefused, PairMismatch: the call failed.
        """
        for others in reversed(range(len(self._servers))):
            try:
                found = self._stub.GetPair(GetPairRequest(pair=self._pair), timeout=_DESCRIBE_S)
                break
            except grpc.RpcError as error:
                failure = self._failure(error)
                if not others:
                    raise failure from error
                self._use_next()
                self._note(f"{failure}; asking {self.server}")
        return found.manifest, found.signature or None

    def fetch(self, pair: str, file: PairFile, target: Path, progress: Progress) -> None:
        """See `Source`.

        Raises:
            CloudUnreachable, CloudRefused: the link broke repeatedly without delivering a byte,
                or the cloud has another file.
        """
        failures = 0.0
        while (held := size_of(target)) < file.bytes:
            try:
                append(target, file, self._chunks(pair, file, held), progress)
                failure: DeviceError = CloudUnreachable(f"{self.name} sent nothing more")
                wait = None
            except grpc.RpcError as error:
                failure, wait = self._failure(error), retry_after(error)
            if size_of(target) >= file.bytes:
                return
            if not isinstance(failure, (CloudUnreachable, CloudBusy, DeadlineExceeded)):
                raise failure
            came = size_of(target) - held
            failures = 0.0 if came >= _LEAST_BYTES else failures + (_PART if came else 1.0)
            if failures >= _MOST_FAILURES:
                raise failure
            if not (isinstance(failure, DeadlineExceeded) and came):
                backoff = min(_MOST_WAIT_S, _FIRST_WAIT_S * 2**failures)
                pause = min(_MOST_RETRY_S, wait or backoff) * (1 + _JITTER * _random())
                self._use_next()
                where = f" at {self.server}" if len(self._servers) > 1 else ""
                self._note(
                    f"{failure}; continuing{where} at byte {size_of(target)} in {pause:.1f} s"
                )
                time.sleep(pause)

    def close(self) -> None:
        """See `Source`."""
        self._channel.close()

    def _open(self) -> None:
        self.name = f"the cloud at {self.server}"
        self._channel = open_channel(self.server)
        self._stub = PairServiceStub(self._channel)

    def _use_next(self) -> None:
        if len(self._servers) > 1:
            self._servers.append(self._servers.pop(0))
            self._channel.close()
            self._open()

    def _chunks(self, pair: str, file: PairFile, offset: int) -> Iterator[bytes]:
        request = FetchFileRequest(
            pair=pair, path=file.path, sha256=bytes.fromhex(file.sha256), offset=offset
        )
        call = self._stub.FetchFile(request, timeout=_STREAM_S)
        try:
            for response in call:
                yield response.data
        finally:
            call.cancel()

    def _failure(self, error: grpc.RpcError) -> DeviceError:
        failure = device_error(error, self.server)
        if isinstance(failure, DeadlineExceeded):
            return DeadlineExceeded(f"{self.name} did not answer in time")
        return failure
