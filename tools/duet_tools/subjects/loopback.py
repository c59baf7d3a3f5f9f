"""A gRPC server in this process, for what measurements make of the other end."""

from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc


class LoopbackServer:
    """Serves on a free port of this machine within a `with` block; services are added before.

    Args:
        threads: maximum number of calls at a time.
    """

    def __init__(self, threads: int) -> None:
        self.server = grpc.server(ThreadPoolExecutor(threads), options=[("grpc.so_reuseport", 0)])
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop(None).wait()
