"""An OpenAI server that wants TLS, a key, or both, asked through a link."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from duet_tools.errors import UsageProblem
from duet_tools.split.endpoint import KEY_VARIABLE, Endpoint, served_model
from tests.doubles.service import ScriptedCompletions, ScriptedService, self_signed
from tests.doubles.split_bench import Bench


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCompletions]:
    """Over HTTPS as localhost, by a certificate that the machine trusts."""
    key, certificate = self_signed(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with ScriptedCompletions(lambda prompt: "I think it is 7", tls=context) as running:
        yield running


@pytest.mark.parametrize(
    ("text", "address", "base", "tls"),
    [
        ("gpu:8000", "gpu:8000", "/v1", False),
        ("http://gpu:8000/", "gpu:8000", "/v1", False),
        ("https://gpu", "gpu:443", "/v1", True),
        ("https://gpu:8443/llm/v1/", "gpu:8443", "/llm/v1", True),
        ("https://[::1]:8000", "[::1]:8000", "/v1", True),
    ],
)
def test_what_is_given(text: str, address: str, base: str, tls: bool) -> None:
    found = Endpoint.parse(text)
    assert (found.address, found.base, found.tls is not None) == (address, base, tls)


@pytest.mark.parametrize(
    "text", ["gpu", "http://gpu", "ftp://gpu:1", "gpu:99999", "gpu:x", "", "me@gpu:1", "gpu:1/?a=b"]
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(UsageProblem, match="--openai"):
        Endpoint.parse(text)


def test_a_key_is_never_shown() -> None:
    assert "secret" not in repr(Endpoint.parse("gpu:8000", "secret"))


def test_another_key_is_wanted(completions: ScriptedCompletions) -> None:
    completions.key = "right"
    for key, word in ((None, "a key"), ("wrong", "another key")):
        with pytest.raises(UsageProblem, match=f"wants {word}: put it in VLLM_API_KEY"):
            served_model(Endpoint.parse(completions.address, key))
    assert served_model(Endpoint.parse(completions.address, "right")) == "reasoner"


def test_questions_go_over_https_with_the_key(
    bench: Bench,
    service: ScriptedService,
    secured: ScriptedCompletions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secured.key = "right"
    monkeypatch.setenv(KEY_VARIABLE, "right")
    place = secured.address.replace("127.0.0.1", "localhost")
    given = ["--modes", "large-alone", "--openai", f"https://{place}", "--warm-up", "0"]
    assert bench.run(*given, "--link", "lan") == 0
    (condition,) = bench.report.conditions
    assert (condition.asked, condition.answered, condition.failures) == (6, 6, {})
    assert set(secured.hosts) == {place}


def test_the_near_end_of_a_link_is_not_what_the_certificate_is_of(
    secured: ScriptedCompletions,
) -> None:
    near = secured.address
    endpoint = Endpoint.parse(f"https://{near.replace('127.0.0.1', 'localhost')}")
    with endpoint.client(near, httpx.Timeout(10)) as client:
        assert client.get("/models", extensions=endpoint.extensions).status_code == httpx.codes.OK
        with pytest.raises(httpx.ConnectError, match="IP address mismatch"):
            Endpoint.parse(f"https://{near}").client(near, httpx.Timeout(10)).get("/models")


def test_a_certificate_of_nobody_we_know(
    secured: ScriptedCompletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UsageProblem, match=r"no OpenAI server at .*CERTIFICATE_VERIFY_FAILED"):
        served_model(Endpoint.parse(f"https://{secured.address}"))
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    with pytest.raises(UsageProblem):
        served_model(Endpoint.parse(f"https://{secured.address}"))
