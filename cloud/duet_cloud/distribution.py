"""`duet.v1.PairService`: hands the decoders of the pairs that are served to the devices.

Only manifest, signature and the decoder's files ever leave; a request names one of those, never a
path. A device trusts signatures, not this service.
"""

import asyncio
import os
from collections import Counter
from io import FileIO
from pathlib import Path

import grpc

from duet_cloud import logs
from duet_cloud.identity.callers import CALLER
from duet_cloud.log_limit import LogLimit
from duet_cloud.routing import Routes
from duet_cloud.status import Context, Refusal, exhausted, invalid
from duet_contract.errors import ContractError
from duet_contract.manifest import MANIFEST_NAME, PairFile
from duet_contract.signature import read_signature
from duet_contract.v1 import pairs_pb2_grpc
from duet_contract.v1.pairs_pb2 import (
    FetchFileRequest,
    FetchFileResponse,
    GetPairRequest,
    GetPairResponse,
)

# Small enough to arrive whole over a slow link before a stream is resumed.
CHUNK_BYTES = 64 * 1024
# A decoder is large and a link may be slow: fetching must not take the service from those who ask.
MOST_FETCHES = 16
MOST_OF_ONE = 4
"""Downloads of one identity at a time; `duet-device pull` runs one."""
_RETRY_AFTER_S = 10.0


class PairService(pairs_pb2_grpc.PairServiceServicer):
    """Reads from the pairs' directories; none of it touches an engine."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._fetching: Counter[str] = Counter()
        self._log_limit = LogLimit()

    async def GetPair(  # noqa: N802 (gRPC's name)
        self, request: GetPairRequest, context: Context
    ) -> GetPairResponse:
        """See pairs.proto."""
        directory = self._routes.find(request.pair).pair.root
        return await asyncio.to_thread(_describe, directory)

    # The stubs have generators alone; gRPC serves coroutines that write to the context, too.
    async def FetchFile(  # type: ignore[override]  # noqa: N802 (gRPC's name)
        self, request: FetchFileRequest, context: Context
    ) -> None:
        """See pairs.proto."""
        sent, pair, path = 0, "", ""
        peer, caller = context.peer(), CALLER.get()
        identity = caller.name if caller else ""
        try:
            route = self._routes.find(request.pair)
            pair = route.name
            entry = _entry(route.pair.manifest.device_files, request)
            path = entry.path
            if self._fetching.total() >= MOST_FETCHES:
                raise exhausted(f"{MOST_FETCHES} downloads are running", _RETRY_AFTER_S)
            if identity and self._fetching[identity] >= MOST_OF_ONE:
                raise exhausted(f"{identity} has {MOST_OF_ONE} downloads running", _RETRY_AFTER_S)
            self._fetching[identity] += 1
            try:
                file = await asyncio.to_thread(
                    _open, route.pair.root / entry.path, entry.bytes, request.offset
                )
                with file:
                    while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
                        await context.write(FetchFileResponse(data=data))
                        sent += len(data)
            finally:
                self._fetching[identity] -= 1
                if not self._fetching[identity]:
                    del self._fetching[identity]
        finally:
            # A call for the last byte of a file costs little, so that nothing bounds how many there are.
            if (more := self._log_limit.admit(pair, path, identity)) is not None:
                logs.get().info(
                    "fetched",
                    # As they are here, not as they were asked for: that may be any text.
                    pair=pair,
                    path=path,
                    offset=request.offset,
                    bytes=sent,
                    peer=peer,
                    **more,
                )


def _describe(directory: Path) -> GetPairResponse:
    try:
        manifest = (directory / MANIFEST_NAME).read_bytes()
        return GetPairResponse(manifest=manifest, signature=read_signature(directory) or b"")
    except (OSError, ContractError) as error:
        raise _unreadable("the pair") from error


def _entry(files: tuple[PairFile, ...], request: FetchFileRequest) -> PairFile:
    for entry in files:
        if entry.path == request.path:
            if bytes.fromhex(entry.sha256) != request.sha256:
                raise Refusal(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"{request.path} is another one here than the device asks for: run `duet-device pull` again",
                )
            if request.offset > entry.bytes:
                raise invalid("offset", f"{request.offset}, the file has {entry.bytes} bytes")
            return entry
    raise invalid("path", "not a file of this pair's decoder")


def _open(path: Path, size: int, offset: int) -> FileIO:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(path.name) from error
    if os.fstat(file.fileno()).st_size != size:
        file.close()
        raise _unreadable(path.name)
    file.seek(offset)
    return file


def _unreadable(what: str) -> Refusal:
    return Refusal(grpc.StatusCode.NOT_FOUND, f"the service cannot read {what}")
