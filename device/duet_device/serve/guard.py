"""Let requests in that come from this machine's own programs: host, origin, token, size."""

import hmac
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from duet_device.serve.api_errors import ApiError

# Without a token: neither tells anything about this device.
OPEN_PATHS = ("/", "/health")
_LOOPBACK = ("127.0.0.1", "localhost")


class Guard:
    """Refuses what a web page elsewhere, or another user, could send.

    A name that someone else's DNS points at this machine is not a host of ours, and a page from
    elsewhere has an origin that is not ours.

    Args:
        app: gets what is let in.
        port: that the server listens on.
        token: of the API.
        origins: allowed in addition to the server's own.
    """

    def __init__(self, app: ASGIApp, port: int, token: str, origins: Collection[str]) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in _LOOPBACK}
        self._origins = {f"http://{host}" for host in self._hosts} | set(origins)
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            self._check(Headers(scope=scope), scope)
        except ApiError as error:
            response = JSONResponse(error.body(), error.status)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, scope: Scope) -> None:
        host = headers.get("host", "")
        if host not in self._hosts:
            raise ApiError(f"the host {host!r} is not this server", 403, "wrong_host")
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise ApiError(
                f"pages of {origin} may not use this server; "
                f"allow it with: duet-device serve --allow-origin {origin}",
                403,
                "wrong_origin",
            )
        # A browser asks without the token whether it may send one.
        if scope["path"] in OPEN_PATHS or scope["method"] == "OPTIONS":
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        if scheme.lower() != "bearer" or not right:
            raise ApiError(
                "the API key is missing or wrong: duet-device serve prints the file that holds it",
                401,
                "invalid_api_key",
            )
