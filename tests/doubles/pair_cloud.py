"""A cloud that hands out a pair from a directory, and does wrong what a test wants it to."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from duet_contract.v1.pairs_pb2 import (
    FetchFileRequest,
    FetchFileResponse,
    GetPairRequest,
    GetPairResponse,
)
from duet_contract.v1.pairs_pb2_grpc import PairServiceServicer, add_PairServiceServicer_to_server
from tests.doubles.cloud import abort


@dataclass
class PairCloud(PairServiceServicer):
    """Serves a pair's files while used as a context manager."""

    directory: Path
    """Directory of the pair."""
    chunk: int = 100
    """Bytes of a message."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the stream breaks, one number for each fetch."""
    extra: bytes = b""
    """Bytes sent behind the file."""
    signature: bytes | None = None
    """Signature that is sent; None: the pair's."""
    manifest: bytes | None = None
    """Manifest that is sent; None: the pair's."""
    content: bytes | None = None
    """Content that is sent; None: the file's."""
    offsets: list[int] = field(default_factory=list)
    """Byte at which each fetch began."""
    retry_after: list[float] = field(default_factory=list)
    """Delays in seconds with which fetches are refused, before any is served."""

    def GetPair(  # noqa: N802
        self, request: GetPairRequest, context: grpc.ServicerContext
    ) -> GetPairResponse:
        manifest = self.manifest or (self.directory / "manifest.json").read_bytes()
        signature = self.signature
        if signature is None and (self.directory / "model.sig").exists():
            signature = (self.directory / "model.sig").read_bytes()
        return GetPairResponse(manifest=manifest, signature=signature or b"")

    def FetchFile(  # noqa: N802
        self, request: FetchFileRequest, context: grpc.ServicerContext
    ) -> Iterator[FetchFileResponse]:
        if self.retry_after:
            delay = Duration()
            delay.FromMilliseconds(round(self.retry_after.pop() * 1000))
            abort(
                context,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "too many downloads",
                RetryInfo(retry_delay=delay),
            )
        content = self.content
        if content is None:
            content = (self.directory / request.path).read_bytes() + self.extra
        self.offsets.append(request.offset)
        cut = self.cuts.pop(0) if self.cuts else None
        end = len(content) if cut is None else min(len(content), request.offset + cut)
        for start in range(request.offset, end, self.chunk):
            yield FetchFileResponse(data=content[start : min(start + self.chunk, end)])
        if cut is not None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the link broke")

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(2))
        add_PairServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None)
