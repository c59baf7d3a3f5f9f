"""gRPC's server, quiet about what clients can cause as often as they like.

`grpc.aio` logs a traceback for each call whose path is not UTF-8, and logs and prints another for
each that has gone before its status is sent; with either, a client could fill the log. The server
continues (grpcio 1.83; 1.84 and 1.85 end the loop that accepts calls).
"""

import logging
import sys
import traceback
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

_CAUSED_BY_CLIENTS = (UnicodeDecodeError, cygrpc.ExecuteBatchError)


def make_server(**arguments: Any) -> grpc.aio.Server:
    """Return `grpc.aio.server(**arguments)`."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_logged)
    # gRPC looks the module up at each exception of a call.
    cygrpc.traceback = _Traceback
    return grpc.aio.server(**arguments)


def _is_logged(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not any(isinstance(each, _CAUSED_BY_CLIENTS) for each in (error, record.msg))


class _Traceback:
    """The functions of `traceback` that `grpc.aio` uses."""

    format_exception = staticmethod(traceback.format_exception)

    @staticmethod
    def print_exc() -> None:
        """Print the current exception, unless a client can cause it."""
        if not isinstance(sys.exc_info()[1], _CAUSED_BY_CLIENTS):
            traceback.print_exc()
