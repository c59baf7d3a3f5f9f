"""Options of the local server. Importing this is cheap, as the help of `duet-device serve` does."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class ServeOptions:
    """Options of a local server."""

    port: int | None
    """Port of API and page on 127.0.0.1; 0 for any free one. None: there is the socket alone."""
    idle: float | None
    """End after this time without a question, in seconds; None: never."""
    origins: Collection[str] = ()
    """Origin of other web pages that may use the API. The server's own page may in any case."""
