"""OpenAI's responses, stateless: a reasoning item that holds the signal, and a message."""

import uuid
from collections.abc import Iterator
from typing import Any

from duet_contract.receipt import Receipt
from duet_device.events import AnswerText, AskEvent, SignalText
from duet_device.serve.api_errors import ApiError
from duet_device.serve.api_request import ApiRequest
from duet_device.serve.renderer import Data, Renderer, usage

_REASONING, _MESSAGE = "reasoning", "message"


class Response(Renderer):
    """One response, from its events; a stream of it is events of its own.

    Args:
        request: what was asked.
    """

    def __init__(self, request: ApiRequest) -> None:
        super().__init__(request, "resp_")
        self._sequence = 0
        self._items: list[Data] = []
        self._shown = ""

    def begin(self) -> Iterator[Data]:
        """See `Renderer`."""
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=self._response("in_progress"))

    def end(self) -> Iterator[Data]:
        """See `Renderer`."""
        if self._open() != _MESSAGE:
            # An empty answer is a message, too.
            yield from self._begin_item(_MESSAGE)
        yield from self._finish_item()
        whole = self.whole()
        yield self._event(f"response.{whole['status']}", response=whole)

    def failed(self, error: ApiError) -> Data:
        """See `Renderer`."""
        return self._event("error", code=error.code, message=error.message, param=error.parameter)

    def whole(self) -> Data:
        """See `Renderer`."""
        receipt = self._receipt
        cut = receipt.finish.startswith("limit")
        return {
            **self._response("incomplete" if cut else "completed"),
            "output": self._items,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "usage": _usage(receipt),
            "duet": self._duet(),
        }

    def _text(self, event: AskEvent) -> Iterator[Data]:
        match event:
            case SignalText(text):
                yield from self._add(_REASONING, text)
            case AnswerText(text):
                yield from self._add(_MESSAGE, text)

    def _add(self, kind: str, text: str) -> Iterator[Data]:
        if self._open() != kind:
            yield from self._finish_item()
            yield from self._begin_item(kind)
        self._shown += text
        name = "reasoning_text" if kind == _REASONING else "output_text"
        yield self._part_event(f"response.{name}.delta", delta=text, **_logprobs(kind))

    def _open(self) -> str | None:
        """Return the type of the item in progress."""
        item = self._items[-1] if self._items else None
        return item["type"] if item and item["status"] == "in_progress" else None

    def _begin_item(self, kind: str) -> Iterator[Data]:
        self._shown = ""
        self._items.append({**_item(kind, ""), "status": "in_progress", "content": []})
        item = self._items[-1]
        yield self._event(
            "response.output_item.added", output_index=len(self._items) - 1, item=dict(item)
        )
        yield self._part_event("response.content_part.added", part=_part(kind, ""))

    def _finish_item(self) -> Iterator[Data]:
        kind = self._open()
        if kind is None:
            return
        item = self._items[-1]
        part = _part(kind, self._shown)
        name = "reasoning_text" if kind == _REASONING else "output_text"
        yield self._part_event(f"response.{name}.done", text=self._shown, **_logprobs(kind))
        yield self._part_event("response.content_part.done", part=part)
        item.update(status="completed", content=[part])
        yield self._event(
            "response.output_item.done", output_index=len(self._items) - 1, item=dict(item)
        )

    def _part_event(self, kind: str, **fields: Any) -> Data:
        index = len(self._items) - 1
        place = {"item_id": self._items[-1]["id"], "output_index": index, "content_index": 0}
        return self._event(kind, **place, **fields)

    def _event(self, kind: str, **fields: Any) -> Data:
        number, self._sequence = self._sequence, self._sequence + 1
        return {"type": kind, "sequence_number": number, **fields}

    def _response(self, status: str) -> Data:
        settings = self._request.ask.settings
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "model": self._request.model,
            "output": [],
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "max_output_tokens": settings.get("answer_tokens"),
            "temperature": settings.get("temperature"),
            "top_p": 1.0,
            "tool_choice": "none",
            "tools": [],
            "usage": None,
        }


def _item(kind: str, text: str) -> Data:
    content = [_part(kind, text)]
    if kind == _REASONING:
        return {
            "type": kind,
            "id": f"rs_{uuid.uuid4().hex}",
            "status": "completed",
            "summary": [],
            "content": content,
        }
    return {
        "type": kind,
        "id": f"msg_{uuid.uuid4().hex}",
        "status": "completed",
        "role": "assistant",
        "content": content,
    }


def _part(kind: str, text: str) -> Data:
    if kind == _REASONING:
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _logprobs(kind: str) -> Data:
    return {"logprobs": []} if kind == _MESSAGE else {}


def _usage(receipt: Receipt) -> Data:
    counted = usage(receipt)
    return {
        "input_tokens": counted["prompt_tokens"],
        "input_tokens_details": counted["prompt_tokens_details"],
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": counted["completion_tokens_details"],
        "total_tokens": counted["total_tokens"],
    }
