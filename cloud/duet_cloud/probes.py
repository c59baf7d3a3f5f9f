"""Health for orchestrators, over plain HTTP and gRPC, on ports of its own.

The port of the service asks for a client certificate, which probes do not have. Nothing but health
is served here.

    GET /livez    200 while the service's event loop answers; else 503
    GET /readyz   200 while every pair is served; else 503, with a line for each reason
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

from duet_cloud.errors import ListenError
from duet_contract.addresses import Address

# Probes of Kubernetes wait one second by default.
_LOOP_S = 0.8
# For a request that does not come, after which its connection ends.
_IDLE_S = 5.0


@contextmanager
def listening(what: str, host: str, port: int) -> Iterator[None]:
    """Report an address that cannot be bound.

    Raises:
        ListenError: what the block raised.
    """
    try:
        yield
    except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one of a host
        why = getattr(error, "strerror", None) or error
        raise ListenError(f"cannot {what} on {Address(host, port)}: {why}") from error


def bound_endpoint(server: HTTPServer) -> None:
    """Close connections without a request, and print nothing about those that clients break.

    `http.server` prints a traceback for each of them, and keeps a thread for each that is idle.

    Args:
        server: one that answers already, or will.
    """
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    handler: Any = server.RequestHandlerClass
    server.RequestHandlerClass = type("_Bounded", (handler,), {"timeout": _IDLE_S})


class Probes:
    """The HTTP endpoint; `start` in the loop whose answers mean that the service is alive."""

    def __init__(self, reasons: Callable[[], list[str]]) -> None:
        """Note what is asked.

        Args:
            reasons: why the service is not ready, a line each; called on the loop.
        """
        self._reasons = reasons
        self._server: ThreadingHTTPServer | None = None

    def start(self, host: str, port: int) -> int:
        """Start answering in a thread; return the port.

        Raises:
            ListenError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()

        async def reasons() -> list[str]:
            return self._reasons()

        def asked() -> list[str] | None:
            future = asyncio.run_coroutine_threadsafe(reasons(), loop)
            try:
                return future.result(_LOOP_S)
            except (TimeoutError, CancelledError):
                future.cancel()
                return None

        handler = type("_Handler", (_Handler,), {"asked": staticmethod(asked)})
        with listening("serve health", host, port):
            self._server = _Server((host, port), handler)
        bound_endpoint(self._server)
        threading.Thread(target=self._server.serve_forever, name="duet-health", daemon=True).start()
        return int(self._server.server_port)

    async def stop(self) -> None:
        """Close the port."""
        if self._server:
            server, self._server = self._server, None
            await asyncio.to_thread(server.shutdown)
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    server_version = "duet-cloud"
    sys_version = ""
    asked: Callable[[], list[str] | None]
    """Asks the loop why the service is not ready; None if the loop does not answer."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path not in ("/livez", "/readyz"):
            self._answer(HTTPStatus.NOT_FOUND, ["see /livez and /readyz"])
            return
        reasons = self.asked()
        if reasons is None:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, ["the event loop does not answer"])
        elif path == "/readyz" and reasons:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, reasons)
        else:
            self._answer(HTTPStatus.OK, ["ok"])

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, lines: list[str]) -> None:
        body = "".join(f"{line}\n" for line in lines).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Probes come every few seconds: nothing is logged."""
