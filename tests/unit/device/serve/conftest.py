"""A local server in this process: its socket, and its HTTP interface."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest

from duet_device import session
from duet_device.ask_request import AskRequest
from duet_device.history.store import History
from duet_device.serve.files import listening, token
from duet_device.serve.run import _bind, _http
from duet_device.serve.service import Service
from duet_device.serve.socket_server import SocketServer
from duet_device.serve.warm_clients import WarmClients
from duet_device.vault import vault
from duet_device.vault.vault import Vault
from tests.doubles import loopback
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder


@pytest.fixture
def loads(
    installed: Path, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> list[object]:
    """The pair `bytes` with a decoder double; lists each load of a decoder."""
    loaded: list[object] = []

    def load(pair: object, threads: object) -> ScriptedDecoder:
        loaded.append(pair)
        return decoder

    monkeypatch.setattr(session, "load_decoder", load)
    return loaded


@pytest.fixture
def cloud(loads: list[object], monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCloud]:
    with ScriptedCloud(says(tokens(*b"be"), tokens(*b"cause"), done(7))) as cloud:
        monkeypatch.setenv("DUET_SERVER", cloud.address)
        yield cloud


@pytest.fixture
def history(installed: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Storing is on; the vault's key is under a passphrase."""
    monkeypatch.setenv("DUET_PASSPHRASE", "correct horse")
    monkeypatch.setattr(vault, "_ARGON2", {"iterations": 1, "lanes": 1, "memory_kib": 64})
    installed.mkdir(mode=0o700)
    Vault.open(installed)
    history = History.of(installed)
    history.enable(True)
    return history


@pytest.fixture
def request_to(cloud: ScriptedCloud) -> Callable[..., AskRequest]:
    return lambda question="why?", **changes: AskRequest(
        question, "bytes", cloud.address, changes.pop("settings", {}), **changes
    )


@pytest.fixture
def service(cloud: ScriptedCloud) -> Iterator[Service]:
    service = Service(WarmClients())
    yield service
    service.stop()


@pytest.fixture
def served(service: Service) -> Iterator[Service]:
    """The service, on the socket of the device's home."""
    with listening() as listener:
        SocketServer(listener, service)
        yield service


@dataclass
class Api:
    """A running HTTP interface."""

    url: str
    """URL of the interface."""
    key: str
    """Key that it accepts."""

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=f"{self.url}/v1",
            api_key=self.key,
            max_retries=0,
            http_client=loopback.client(),
        )

    def post(self, path: str, body: object = None, **options: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        with loopback.client(headers=headers) as client:
            return client.post(self.url + path, json=body, **options)  # type: ignore[arg-type]


@pytest.fixture
def api(service: Service, request_to: Callable[..., AskRequest]) -> Iterator[Api]:
    listener = _bind(0)
    port = listener.getsockname()[1]
    with _http(listener, service, request_to(""), token(), ["http://app.example"]):
        yield Api(f"http://127.0.0.1:{port}", token())
