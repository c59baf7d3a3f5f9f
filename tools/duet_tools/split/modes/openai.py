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
from duet_tools.link.profiles import LinkProfile
from duet_tools.results.record import Record
from duet_tools.split.endpoint import OpenAIModel
from duet_tools.split.modes.base import ModeSettings

_EVENT, _DONE = b"data: {", b"data: [DONE]"
_FULL = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Completion:
    """A completion as it was received."""

    text: str
    """Text of the completion."""
    tokens: int
    """Number of its tokens."""
    finish: str
    """`end` or `limit`."""
    events: tuple[tuple[int, float], ...]
    """Characters so far, and the milliseconds at which they arrived."""
    times: tuple[float, ...] = ()
    """Milliseconds of queue, prefill and decoding by the server's clock.

    Empty if the server does not report times (vLLM: `--enable-per-request-metrics`).
    """

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
        self._endpoint, self._model = server
        self._temperature, self._seed = common.temperature, common.seed + index
        self._deadline = Deadline(common.timeout, None, stop)
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

    def complete(self, prompt: str, limit: int, stop_id: int | None = None) -> Completion:
        """Request up to `limit` tokens after `prompt`; `stop_id` or the model's own ends them.

        Raises:
            CloudBusy, CloudRefused, CloudUnreachable, DeadlineExceeded: it failed.
            Interrupted: the run ends.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": limit,
            "temperature": self._temperature,
            "seed": self._seed,
            # The end of reasoning must be visible.
            "skip_special_tokens": False,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if stop_id is not None:
            body["stop_token_ids"] = [stop_id]
        try:
            return _completion(self._post(body))
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
        """Return the events of a request and when each came."""
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
            at = self._deadline.elapsed_ms()
            self._deadline.check()
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
            self._connected = self._deadline.elapsed_ms()


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


def tell_link_from_cloud(record: Record, link: LinkProfile, requests: int) -> None:
    """Correct `connect_ms`, and set `cloud_s` where the server did not tell it.

    Args:
        record: of a question whose large-model tokens came as `requests` requests, one after
            the other, on one connection. Its time is that of its last token.
        link: that the connection passed.
        requests: at least one.

    A new connection and each request take a round trip, and what goes up its time. What comes down
    crosses while the next token is made; where a link is slower than that, its time stays in.
    """
    reached = record.connect_ms or 0.0
    trips = requests + (record.connect_ms is not None)
    if record.cloud_s is None and record.total_ms is not None and record.large_tokens:
        rate = link.up.rate_bit_s
        up_ms = 8e3 * record.wire_up / rate if rate else 0.0
        link_ms = reached + trips * link.rtt_ms + up_ms
        record.cloud_s = max(0.0, record.total_ms - link_ms) / 1e3
    if record.connect_ms is not None:
        # An emulated link accepts a connection at once, and delays its first bytes instead.
        record.connect_ms = reached + link.rtt_ms


def _completion(events: list[tuple[float, dict[str, Any]]]) -> Completion:
    text, marks, reason, tokens = "", [], "", 0
    times: tuple[float, ...] = ()
    for at, event in events:
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


def _times(metrics: dict[str, Any]) -> tuple[float, ...]:
    """Return the times in vLLM's request metrics; its first-token time excludes the queue."""
    names = ("queue_time_ms", "time_to_first_token_ms", "generation_time_ms")
    values = [metrics.get(name) for name in names]
    return () if None in values else tuple(map(float, values))  # type: ignore[arg-type]


def _timeout(common: ModeSettings) -> httpx.Timeout:
    return httpx.Timeout(common.timeout, connect=common.connect_timeout)


def _refusal(response: httpx.Response) -> CloudRefused:
    said = f"the server refused: {response.text[:200]}"
    return CloudBusy(said) if response.status_code in _FULL else CloudRefused(said)
