"""The HTTP server that doubles run on."""

import sys
from http.server import ThreadingHTTPServer


class LoopbackServer(ThreadingHTTPServer):
    """Says nothing of clients that leave in the middle of an answer, as those under test do."""

    def handle_error(self, request: object, client_address: object) -> None:
        """See `socketserver.BaseServer`: it prints the traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
