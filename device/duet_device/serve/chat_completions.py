"""OpenAI's chat completions: the signal as reasoning, under both names that clients read."""

from collections.abc import Iterator

from duet_contract.receipt import Receipt
from duet_device.events import AnswerText, AskEvent, SignalText
from duet_device.serve.api_errors import ApiError
from duet_device.serve.api_request import ApiRequest
from duet_device.serve.renderer import Data, Renderer, usage


class ChatCompletion(Renderer):
    """One chat completion, from its events; a stream of them is chunks.

    Args:
        request: what was asked.
    """

    def __init__(self, request: ApiRequest) -> None:
        super().__init__(request, "chatcmpl-")

    def begin(self) -> Iterator[Data]:
        """See `Renderer`."""
        yield self._chunk({"role": "assistant", "content": ""})

    def end(self) -> Iterator[Data]:
        """See `Renderer`."""
        yield self._chunk({}, _finish_reason(self._receipt)) | {"duet": self._duet()}
        if self._request.include_usage:
            yield self._chunk({}) | {"choices": [], "usage": usage(self._receipt)}

    def failed(self, error: ApiError) -> Data:
        """See `Renderer`."""
        return error.body()

    def whole(self) -> Data:
        """See `Renderer`."""
        receipt = self._receipt
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

    def _text(self, event: AskEvent) -> Iterator[Data]:
        match event:
            case SignalText(text):
                yield self._chunk({"reasoning": text, "reasoning_content": text})
            case AnswerText(text):
                yield self._chunk({"content": text})

    def _chunk(self, delta: Data, finish_reason: str | None = None) -> Data:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._request.model,
            "choices": [choice],
        }


def _finish_reason(receipt: Receipt) -> str:
    return "length" if receipt.finish.startswith("limit") else "stop"
