"""gRPC's server, quiet about calls whose path is not UTF-8.

`grpc.aio` logs a traceback for each of them, with which a client could fill the log. The server
continues (grpcio 1.83; 1.84 and 1.85 end the loop that accepts calls).
"""

import logging
from typing import Any

import grpc


def make_server(**arguments: Any) -> grpc.aio.Server:
    """Return `grpc.aio.server(**arguments)`."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_logged)
    return grpc.aio.server(**arguments)


def _is_logged(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not any(isinstance(each, UnicodeDecodeError) for each in (error, record.msg))
