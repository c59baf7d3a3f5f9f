"""Who may use the HTTP interface: this machine's programs that hold the token."""

import stat
from pathlib import Path

import httpx
import pytest

from duet_device.errors import UsageProblem
from duet_device.serve.files import TOKEN_NAME, listening, locked, token
from duet_device.serve.run import _bind
from tests.doubles import loopback
from tests.unit.device.serve.conftest import Api


def get(api: Api, path: str, **headers: str) -> httpx.Response:
    with loopback.client() as client:
        return client.get(api.url + path, headers=headers)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/health", {}, 200),
        ("/", {}, 200),
        ("/v1/models", {}, 401),
        ("/v1/models", {"authorization": "Bearer wrong"}, 401),
        ("/v1/models", {"authorization": "Basic {key}"}, 401),
        ("/v1/models", {"authorization": "Bearer {key}"}, 200),
        ("/v1/models", {"authorization": "bearer  {key}"}, 200),
        ("/nothing", {"authorization": "Bearer {key}"}, 404),
        ("/v1/chat/completions", {"authorization": "Bearer {key}"}, 404),
        # A name of someone else's that their DNS points at this machine.
        ("/health", {"host": "evil.example"}, 403),
        ("/health", {"host": "evil.example:{port}"}, 403),
        ("/health", {"host": "127.0.0.1"}, 403),
        ("/health", {"host": "localhost:{port}"}, 200),
        ("/v1/models", {"authorization": "Bearer {key}", "host": "evil.example:{port}"}, 403),
        # A page from elsewhere.
        ("/", {"origin": "http://evil.example"}, 403),
        ("/health", {"origin": "null"}, 403),
        ("/health", {"origin": "http://127.0.0.1:1"}, 403),
        ("/health", {"origin": "http://127.0.0.1:{port}"}, 200),
        ("/health", {"origin": "http://app.example"}, 200),
    ],
)
def test_who_is_let_in(path: str, headers: dict[str, str], status: int, api: Api) -> None:
    port = api.url.rpartition(":")[2]
    filled = {name: value.format(key=api.key, port=port) for name, value in headers.items()}
    response = get(api, path, **filled)
    assert response.status_code == status
    if status >= 400:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        assert api.key not in response.text


def test_an_allowed_origin_may_read_the_response(api: Api) -> None:
    headers = {"origin": "http://app.example", "access-control-request-method": "POST"}
    with loopback.client() as client:
        asked = client.options(f"{api.url}/v1/chat/completions", headers=headers)
    assert asked.headers["access-control-allow-origin"] == "http://app.example"
    allowed = get(api, "/health", origin="http://app.example")
    assert allowed.headers["access-control-allow-origin"] == "http://app.example"
    assert "access-control-allow-origin" not in get(api, "/health").headers


def test_the_page_may_load_nothing_from_elsewhere(api: Api) -> None:
    response = get(api, "/")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert not [
        each for each in ("src=", "http://", "https://", "@import") if each in response.text
    ]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_token_that_others_may_read_is_one_line(installed: Path, mode: int) -> None:
    made = token()
    path = installed / TOKEN_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token() == made
    path.chmod(mode)
    with pytest.raises(UsageProblem, match=f"chmod 600 {path}"):
        token()


def test_an_empty_token_is_one_line(installed: Path) -> None:
    token()
    (installed / TOKEN_NAME).write_text("\n")
    with pytest.raises(UsageProblem, match="delete the file"):
        token()


def test_one_server_at_a_time(installed: Path) -> None:
    with locked(), pytest.raises(UsageProblem, match=r"process \d+"), locked():
        pass
    with locked():
        pass


def test_the_socket_is_the_users_alone(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed.mkdir(mode=0o700)
    with listening() as listener:
        assert stat.S_IMODE(Path(listener.getsockname()).stat().st_mode) == 0o600
    installed.chmod(0o777)
    with pytest.raises(UsageProblem, match="chmod go-w"), listening():
        pass
    monkeypatch.setenv("DUET_HOME", str(installed / ("x" * 99)))
    with pytest.raises(UsageProblem, match="DUET_HOME"), listening():
        pass


def test_a_port_in_use_is_one_line() -> None:
    with _bind(0) as listener:
        listener.listen()
        with pytest.raises(UsageProblem, match="--port"):
            _bind(listener.getsockname()[1])
