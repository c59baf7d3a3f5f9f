"""A model hub on this machine that takes uploads: repositories and commits in memory."""

import base64
import json
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from tests.doubles.http_server import LoopbackServer


class WritableHub:
    """Holds what was pushed while used as a context manager.

    `token`: the only one that is accepted. `files`: content by repository and path. `private`:
    whether a repository was created so.
    """

    def __init__(self, token: str) -> None:
        self.token = token
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Authorization") != f"Bearer {hub.token}":
                    self._answer(401, {"error": "Invalid credentials"})
                    return
                self._answer(*hub.post(self.path, body))

            def do_GET(self) -> None:
                self._answer(404, {"error": "not here"})

            def _answer(self, status: int, content: Any) -> None:
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = LoopbackServer(Handler)
        self.endpoint = f"http://{self._server.address}"

    def post(self, path: str, body: bytes) -> tuple[int, Any]:
        """Answer one request as the hub's API does."""
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.private.setdefault(name, asked.get("visibility") == "private")
            status = 409 if name in self.files else 200
            self.files.setdefault(name, {})
            return status, {"url": f"{self.endpoint}/{name}"}
        if "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in files
            ]
            return 200, {"files": modes}
        if "/commit/" in path:
            name = path.removeprefix("/api/models/").split("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.files[name][value["path"]] = base64.b64decode(value["content"])
            commit = {"commitUrl": f"{self.endpoint}/{name}/commit/1", "commitOid": "1" * 40}
            return 200, {**commit, "hookOutput": "", "success": True}
        return 200, {}

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()
