"""One question's completions from vLLM's OpenAI server.

Read with httpx and no more JSON than needed, as in `duet_tools.subjects.openai_server`.
"""

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import httpx

from duet_contract.json_data import parse_json
from duet_device.deadline import Deadline
from duet_device.errors import CloudBusy, CloudRefused, CloudUnreachable, DeadlineExceeded
from duet_tools.results.record import Record
from duet_tools.split.endpoint import OpenAIModel
from duet_tools.split.modes.base import ModeSettings

_EVENT, _DONE = b"data: {", b"data: [DONE]"
_FULL = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class CloudTimes:
    """Durations by the server's own clock, in milliseconds."""

    queue_ms: float
    prefill_ms: float
    decode_ms: float


@dataclass(frozen=True)
class Completion:
    """A completion as it was received."""

    text: str
    tokens: int
    finish: str
    """`end` or `limit`."""
    events: tuple[tuple[int, float], ...]
    """Characters so far, and the milliseconds at which they arrived."""
    times: CloudTimes | None = None
    """None if the server does not report times (vLLM: `--enable-per-request-metrics`)."""

    @property
    def first_ms(self) -> float | None:
        """When the first token came."""
        return self.events[0][1] if self.events else None

    @property
    def last_ms(self) -> float | None:
        """When the last token came."""
        return self.events[-1][1] if self.events else None

    def when(self, characters: int) -> float | None:
        """Return when the text had that many characters."""
        return next((at for length, at in self.events if length >= characters), None)


class CompletionRequests:
    """The requests of one question; use as a context manager.

    `near`: the near end of a link to the server.
    """

    def __init__(
        self,
        near: str,
        server: OpenAIModel,
        common: ModeSettings,
        index: int,
        stop: threading.Event,
    ) -> None:
        self._endpoint, self.model = server
        self.common = common
        self.seed = common.seed + index
        self.deadline = Deadline(common.timeout, None, stop)
        self._address = near
        self._up = self._down = 0
        self._connected: float | None = None
        self._stack = ExitStack()
        self._client = self._stack.enter_context(
            common.connections.http(near, self._endpoint, _timeout(common))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def post(self, body: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
        """Post a completion's request; return its events and when each came.

        Raises:
            CloudBusy, CloudRefused, CloudUnreachable, DeadlineExceeded: it failed.
            Interrupted: the run ends.
        """
        try:
            return self._post(body)
        except httpx.ConnectTimeout as error:
            raise CloudUnreachable(f"no server at {self._address}: no link in time") from error
        except httpx.TimeoutException as error:
            raise DeadlineExceeded("the server did not finish in time") from error
        except httpx.HTTPError as error:
            raise CloudUnreachable(f"the server at {self._address} failed: {error}") from error

    def record(self) -> Record:
        """Return the part of a record that every question to this server has."""
        return Record(app_up=self._up, app_down=self._down, connect_ms=self._connected)

    def _post(self, body: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
        extensions = {"trace": self._on_event, **self._endpoint.extensions}
        request = self._client.build_request(
            "POST", "/completions", json=body, extensions=extensions
        )
        self._up += len(request.content)
        response = self._client.send(request, stream=True)
        try:
            if response.status_code != httpx.codes.OK:
                response.read()
                raise _refusal(response)
            return self._events(response)
        finally:
            response.close()

    def _events(self, response: httpx.Response) -> list[tuple[float, dict[str, Any]]]:
        found, rest, done = [], b"", False
        for data in response.iter_raw():
            at = self.deadline.elapsed_ms()
            self.deadline.check()
            self._down += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(_EVENT):
                    found.append((at, parse_json(line[6:])))
                done = done or line.startswith(_DONE)
        if not done:
            raise CloudUnreachable("the answer ended without its last event")
        return found

    def _on_event(self, name: str, info: dict[str, Any]) -> None:
        # With TLS, a connection is open once its handshake is done.
        last = "start_tls" if self._endpoint.tls else "connect_tcp"
        if name == f"connection.{last}.complete" and self._connected is None:
            self._connected = self.deadline.elapsed_ms()


def connect(near: str, server: OpenAIModel, common: ModeSettings) -> None:
    """Open the connection that a device keeps, by a request that runs no model.

    Raises:
        CloudUnreachable: the server is not reached.
    """
    endpoint, _ = server
    try:
        with common.connections.http(near, endpoint, _timeout(common)) as client:
            client.get("/models", extensions=endpoint.extensions).read()
    except httpx.HTTPError as error:
        raise CloudUnreachable(f"no server at {near}: {error}") from error


def complete(
    completions: CompletionRequests, prompt: str, limit: int, stop_id: int | None = None
) -> Completion:
    """Request up to `limit` tokens after `prompt`; `stop_id` or the model's own ends them.

    Raises:
        DeviceError: see `CompletionRequests.post`.
    """
    body: dict[str, Any] = {
        "model": completions.model,
        "prompt": prompt,
        "max_tokens": limit,
        "temperature": completions.common.temperature,
        "seed": completions.seed,
        # The end of reasoning must be visible.
        "skip_special_tokens": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if stop_id is not None:
        body["stop_token_ids"] = [stop_id]
    text, marks, reason, tokens = "", [], "", 0
    times = None
    for at, event in completions.post(body):
        if "error" in event:
            raise CloudRefused(f"the server failed: {str(event['error'])[:200]}")
        for choice in event.get("choices") or ():
            if choice.get("text"):
                text += choice["text"]
                marks.append((len(text), at))
            reason = choice.get("finish_reason") or reason
        tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
        times = _times(event.get("metrics") or {}) or times
    ended = reason == "stop"
    # The token that ended it is counted, but not part of the text.
    return Completion(text, tokens - ended, "end" if ended else "limit", tuple(marks), times)


def _times(metrics: dict[str, Any]) -> CloudTimes | None:
    """Return the times in vLLM's request metrics; its first-token time excludes the queue."""
    names = ("queue_time_ms", "time_to_first_token_ms", "generation_time_ms")
    values = [metrics.get(name) for name in names]
    if any(value is None for value in values):
        return None
    return CloudTimes(*map(float, values))  # type: ignore[arg-type]


def _timeout(common: ModeSettings) -> httpx.Timeout:
    return httpx.Timeout(common.timeout, connect=common.connect_timeout)


def _refusal(response: httpx.Response) -> CloudRefused:
    said = f"the server refused: {response.text[:200]}"
    return CloudBusy(said) if response.status_code in _FULL else CloudRefused(said)
