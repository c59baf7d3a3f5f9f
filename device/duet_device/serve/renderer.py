"""What OpenAI's APIs have in common: the events of a question become objects of an API."""

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from duet_contract.receipt import Receipt
from duet_device.events import AskEvent, Note, Stored
from duet_device.serve.api_errors import ApiError
from duet_device.serve.api_request import ApiRequest

Data = dict[str, Any]


class Renderer(ABC):
    """The response to one request.

    Args:
        request: what was asked.
        prefix: of the response's id.
    """

    def __init__(self, request: ApiRequest, prefix: str) -> None:
        self._request = request
        self._id = prefix + uuid.uuid4().hex
        self._created = int(time.time())
        self._notes: list[str] = []
        self._stored: Stored | None = None

    @abstractmethod
    def begin(self) -> Iterator[Data]:
        """Yield what precedes the events."""

    def feed(self, event: AskEvent) -> Iterator[Data]:
        """Yield what an event becomes."""
        match event:
            case Note(text):
                self._notes.append(text)
            case Stored():
                self._stored = event
            case _:
                yield from self._text(event)

    @abstractmethod
    def end(self) -> Iterator[Data]:
        """Yield what follows the events."""

    @abstractmethod
    def failed(self, error: ApiError) -> Data:
        """Return what ends a stream that cannot be completed."""

    @abstractmethod
    def whole(self) -> Data:
        """Return all of it as one object."""

    @abstractmethod
    def _text(self, event: AskEvent) -> Iterator[Data]:
        """Yield what text of the signal or the answer becomes."""

    @property
    def _receipt(self) -> Receipt:
        assert self._stored, "the events of a question end with what was stored"
        return self._stored.result.receipt

    def _duet(self) -> Data:
        """Return the receipt as the object `duet` of a response."""
        stored = self._stored and self._stored.id
        return {**self._receipt.model_dump(mode="json"), "stored": stored, "notes": self._notes}


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
