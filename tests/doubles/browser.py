"""Chromium without a window, driven over its DevTools protocol."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.doubles import loopback

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
STARTS_S, WAITS_S = 60, 30


class Tab:
    """A page of the browser. `problems`: errors that its console got."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._id = 0
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol."""
        self._id += 1
        self._connection.send(json.dumps({"id": self._id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(WAITS_S))
            entry = message.get("params", {}).get("entry", {})
            # A refused request is shown to the user.
            logged = message.get("method") == "Log.entryAdded" and entry["source"] != "network"
            if logged or message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(json.dumps(message["params"]))
            if message.get("id") == self._id:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Waits until an expression is true."""
        until = time.monotonic() + WAITS_S
        while not self.value(expression):
            assert time.monotonic() < until, (
                f"never: {expression}\n{self.value('document.body.innerText')}"
            )
            time.sleep(0.02)

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key of the keyboard."""
        for kind in ("keyDown", "keyUp"):
            fields: dict[str, Any] = {"type": kind, "key": key, "windowsVirtualKeyCode": code}
            if text and kind == "keyDown":
                fields["text"] = text
            self.call("Input.dispatchKeyEvent", **fields)


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """An empty tab of a browser with a new profile."""
    assert CHROMIUM
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-dev-shm-usage", "--no-proxy-server", "--remote-debugging-port=0"]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        [*command, f"--user-data-dir={profile}", "about:blank"], stdout=nothing, stderr=nothing
    )
    try:
        port_file = profile / "DevToolsActivePort"
        until = time.monotonic() + STARTS_S
        while not port_file.exists() or "\n" not in port_file.read_text():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        port = port_file.read_text().splitlines()[0]
        with loopback.client() as client:
            pages = client.get(f"http://127.0.0.1:{port}/json").json()
        address = next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"]
        with connect(address, max_size=None, proxy=None) as connection:
            yield Tab(connection)
    finally:
        process.terminate()
        process.wait(30)
