"""OpenAI's chat completions: the signal as reasoning, under both names that clients read."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from duet_contract.receipt import Receipt
from duet_device.events import AnswerText, AskEvent, Note, Result, SignalText, Stored
from duet_device.serve.api_request import ApiRequest

Data = dict[str, Any]


class ChatCompletion:
    """One chat completion, from its events.

    Args:
        request: what was asked.
    """

    def __init__(self, request: ApiRequest) -> None:
        self._request = request
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._notes: list[str] = []
        self._stored: Stored | None = None

    def begin(self) -> Iterator[Data]:
        """Yield the chunks before the first event."""
        yield self._chunk({"role": "assistant", "content": ""})

    def feed(self, event: AskEvent) -> Iterator[Data]:
        """Yield the chunks of an event."""
        match event:
            case SignalText(text):
                yield self._chunk({"reasoning": text, "reasoning_content": text})
            case AnswerText(text):
                yield self._chunk({"content": text})
            case Note(text):
                self._notes.append(text)
            case Stored():
                self._stored = event

    def end(self) -> Iterator[Data]:
        """Yield the chunks after the last event."""
        result = self._result()
        last = self._chunk({}, _finish_reason(result.receipt))
        yield last | {"duet": self._duet()}
        if self._request.include_usage:
            yield self._chunk({}) | {"choices": [], "usage": usage(result.receipt)}

    def whole(self) -> Data:
        """Return the completion as one object."""
        receipt = self._result().receipt
        reasoning = receipt.signal or None
        message = {
            "role": "assistant",
            "content": receipt.answer,
            "reasoning": reasoning,
            "reasoning_content": reasoning,
            "refusal": None,
        }
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": _finish_reason(receipt),
            "logprobs": None,
        }
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._request.model,
            "choices": [choice],
            "usage": usage(receipt),
            "duet": self._duet(),
        }

    def _chunk(self, delta: Data, finish_reason: str | None = None) -> Data:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._request.model,
            "choices": [choice],
        }

    def _result(self) -> Result:
        assert self._stored, "the events of a question end with what was stored"
        return self._stored.result

    def _duet(self) -> Data:
        return duet_object(self._stored, self._notes)


def duet_object(stored: Stored | None, notes: list[str]) -> Data:
    """Return the receipt as the object `duet` of a response."""
    assert stored
    receipt = stored.result.receipt.model_dump(mode="json")
    return {**receipt, "stored": stored.id, "notes": notes}


def usage(receipt: Receipt) -> Data:
    """Return the usage of a chat completion; the signal counts as reasoning tokens."""
    tokens = receipt.tokens
    prompt, completion = tokens.question + tokens.context, tokens.signal + tokens.answer
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": {"reasoning_tokens": tokens.signal},
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _finish_reason(receipt: Receipt) -> str:
    return "length" if receipt.finish.startswith("limit") else "stop"
