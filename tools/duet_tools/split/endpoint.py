"""Address of an OpenAI server, and the client for it."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import httpx

from duet_contract.addresses import Address
from duet_contract.errors import AddressError
from duet_contract.json_data import parse_json
from duet_tools.errors import UsageProblem

# vLLM's own name for the key that its server wants (`--api-key`).
KEY_VARIABLE = "VLLM_API_KEY"


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI server."""

    address: str
    """HOST:PORT."""
    base: str = "/v1"
    """Path prefix of `completions` and `models`."""
    tls: ssl.SSLContext | None = None
    """Context that verifies its certificate; None: plain HTTP."""
    key: str | None = field(default=None, repr=False)
    """API key, sent as a bearer token; None: no key."""

    @classmethod
    def parse(cls, text: str, key: str | None = None) -> Self:
        """Of `HOST:PORT`, or a base URL such as `https://HOST:PORT/v1`.

        Certificates are checked against the system's authorities, or those of `SSL_CERT_FILE`.

        Raises:
            UsageProblem: it is neither, or its certificate's authorities cannot be read.
        """
        try:
            url = urlsplit(text if "://" in text else f"http://{text}")
            secure, place = url.scheme == "https", _place(url)
        except (ValueError, AddressError) as error:
            raise UsageProblem(f"--openai {text}: {error}") from error
        if url.scheme not in ("http", "https") or not place or url.query or url.username:
            raise UsageProblem(
                f"--openai {text}: give HOST:PORT, or a base URL: https://HOST:PORT/v1"
            )
        try:
            tls = ssl.create_default_context() if secure else None
        except OSError as error:
            raise UsageProblem(f"--openai: certificates cannot be read: {error}") from error
        return cls(place, url.path.rstrip("/") or "/v1", tls, key or None)

    def client(self, near: str, timeout: httpx.Timeout) -> httpx.Client:
        """Return a client that reaches it through the near end of a link to it, HOST:PORT."""
        headers = {"Host": self.address}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return httpx.Client(
            base_url=f"{'https' if self.tls else 'http'}://{near}{self.base}",
            timeout=timeout,
            trust_env=False,
            # Certificates are for https alone, and reading them takes tens of milliseconds.
            verify=self.tls or False,  # nosec B501
            headers=headers,
        )

    @property
    def extensions(self) -> dict[str, Any]:
        """Of each request: the name that the server's certificate has to be of."""
        return {"sni_hostname": Address.parse(self.address).host} if self.tls else {}


# A server, and the name of the model that it serves.
OpenAIModel = tuple[Endpoint, str]


def served_model(endpoint: Endpoint) -> str:
    """Return the name of the model that an OpenAI server serves.

    Raises:
        UsageProblem: there is no such server, or it wants another key.
    """
    try:
        with endpoint.client(endpoint.address, httpx.Timeout(10)) as client:
            answer = client.get("/models", extensions=endpoint.extensions)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise UsageProblem(
                f"the OpenAI server at {endpoint.address} wants "
                f"{'another' if endpoint.key else 'a'} key: put it in {KEY_VARIABLE}"
            )
        return str(parse_json(answer.raise_for_status().content)["data"][0]["id"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        raise UsageProblem(f"no OpenAI server at {endpoint.address}: {error}") from error


def _place(url: SplitResult) -> str:
    """HOST:PORT, the scheme's port where none is given with it; empty without a host."""
    if not url.hostname:
        return ""
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    port = url.port or (443 if url.scheme == "https" else None)
    return str(Address.parse(f"{host}:{port}")) if port else ""
