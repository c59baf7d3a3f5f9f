"""A model hub on this machine: one repository, from a directory, over HTTP with ranges."""

import hashlib
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Self

from tests.doubles.http_server import LoopbackServer

COMMIT = "c" * 40


class Hub:
    """Serves `directory` as ORG/NAME while used as a context manager.

    `cut`: the first answer with a file of more bytes than that ends there, once.
    `ranges`: bytes at which downloads began.
    """

    def __init__(self, directory: Path, cut: int | None = None) -> None:
        self.directory = directory
        self.cut = cut
        self.ranges: list[int] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, *, body: bool) -> None:
                _, _, _, _, revision, *path = self.path.split("/")
                file = hub.directory.joinpath(*path)
                if revision not in ("main", COMMIT) or not file.is_file():
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                content = file.read_bytes()
                start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
                self.send_response(206 if start else 200)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Accept-Ranges", "bytes")
                if start:
                    self.send_header(
                        "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                    )
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                if not body:
                    return
                if len(content) > 10_000:
                    hub.ranges.append(start)
                if hub.cut is not None and len(content) > hub.cut:
                    content, hub.cut = content[: hub.cut], None
                    self.close_connection = True
                self.wfile.write(content[start:])

            def log_message(self, *_: object) -> None:
                pass

        self._server = LoopbackServer(Handler)
        self.endpoint = f"http://{self._server.address}"

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()
