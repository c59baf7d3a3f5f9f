"""vLLM's OpenAI server as a subject, read as a stream of server-sent events.

Read with httpx and no more JSON than needed: the official client parses every event into objects,
which would slow the peer down.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx

from duet_tools.errors import BenchError
from duet_tools.subjects.children import Child, free_port
from duet_tools.subjects.subject import (
    READY_S,
    Burst,
    Stream,
    engine_environment,
    engine_flags,
    timed,
)
from duet_tools.subjects.workload import Workload

MODEL = "reasoner"
_DONE = "data: [DONE]"


class OpenAIServer(Child):
    """`python -m vllm.entrypoints.openai.api_server` in a process of its own."""

    name = "vLLM OpenAI server"

    def __init__(self, workload: Workload, engine: Sequence[str]) -> None:
        """Start the server and wait until it is ready."""
        self._workload = workload
        self.port = free_port()
        super().__init__(
            self.name,
            [
                *(
                    sys.executable,
                    "-m",
                    "vllm.entrypoints.openai.api_server",
                    "--model",
                    str(workload.model),
                ),
                *("--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(self.port)),
                *("--disable-uvicorn-access-log", *engine_flags(workload, engine)),
            ],
            engine_environment(),
        )
        self._client: httpx.AsyncClient | None = None
        self.wait_until(self._ready, READY_S)

    def body(self, prompt: str | list[int], budget: int) -> dict[str, Any]:
        """Return the request for a greedy signal: the service's prompt, budget and stop token."""
        return {
            "model": MODEL,
            "prompt": prompt,
            "max_tokens": budget,
            "temperature": 0.0,
            "stop_token_ids": [self._workload.stop_id],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def run(self, questions: Sequence[str], budget: int) -> Burst:
        """See `Subject`."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{self.port}",
                timeout=httpx.Timeout(600),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
                trust_env=False,
            )
        bodies = [self.body(self._workload.prompt(text), budget) for text in questions]
        return await timed(_stream(self._client, each) for each in bodies)

    def _ready(self) -> bool:
        try:
            address = f"http://127.0.0.1:{self.port}/health"
            return httpx.get(address, timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


async def _stream(client: httpx.AsyncClient, body: dict[str, Any]) -> Stream:
    began = time.perf_counter()
    first = 0.0
    finish, usage = "", ""
    async with client.stream("POST", "/v1/completions", json=body) as response:
        if response.status_code != httpx.codes.OK:
            await response.aread()
            raise BenchError(f"the OpenAI server refused: {response.text[:200]}")
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                first = first or time.perf_counter() - began
                finish, usage = usage, line
            elif line == _DONE:
                break
    total = time.perf_counter() - began
    return Stream(signal_tokens(finish, usage), first, total)


def signal_tokens(last_event: str, usage_event: str) -> int:
    """Return tokens of a streamed signal, its closing token left out, from its last two events."""
    tokens = json.loads(usage_event.removeprefix("data: "))["usage"]["completion_tokens"]
    ended = json.loads(last_event.removeprefix("data: "))["choices"][0]["finish_reason"] == "stop"
    return int(tokens) - int(ended)
