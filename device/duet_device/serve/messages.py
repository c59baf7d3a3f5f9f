"""Messages between a command and a local server: one JSON object a line.

The command sends an opening (`opening`). The server declines, or accepts and sends events. Events of
several questions have the question's `number`. After each result the server waits for a line, which
says that the answer was delivered, before it stores it. The end of the connection stops the
questions. Imports nothing that is slow.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import duet_device.errors as errors
from duet_device.ask_request import AskRequest
from duet_device.errors import DeviceError, ModelProblem
from duet_device.events import AnswerText, AskEvent, Note, Result, Sent, SignalText, Stored, Timings

if TYPE_CHECKING:
    from duet_contract.receipt import Receipt
    from duet_contract.v1.inference_pb2 import ReasonRequest
    from duet_device.turns import Turn

Message = dict[str, Any]


class Batch(NamedTuple):
    """Several questions that are answered with the options of one request."""

    questions: list[str]
    """The questions as typed."""
    in_flight: int
    """Most questions that were sent and are not answered."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the batch that `_asdict` described.

        Raises:
            TypeError: a part of it has another type.
        """
        batch = cls(**data)
        if not all(isinstance(text, str) for text in batch.questions):
            raise TypeError("a question is not text")
        return batch


# Variables that decide what a question does; the server must have the same.
_VARIABLES = ("DUET_PAIRS", "HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_PREFIXES = ("GGML_", "GRPC_", "LLAMA_")
_PROXIES = ("grpc_proxy", "http_proxy", "https_proxy", "no_grpc_proxy", "no_proxy")
# An upgrade changes it. A server of older code must not import what is new.
_CODE = Path(__file__).stat()


def environment(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that decide what a question does."""
    return {
        name: value
        for name, value in variables.items()
        if name in _VARIABLES or name.lower() in _PROXIES or name.startswith(_PREFIXES)
    }


def code() -> list[int]:
    """Return what identifies the installed code, as it was when this process started."""
    return [_CODE.st_ino, _CODE.st_mtime_ns]


def opening(
    request: AskRequest, elapsed: float, seconds: float, batch: "Batch | None" = None
) -> Message:
    """Return the first message of a command.

    Args:
        request: what to answer.
        elapsed: seconds since the question's start.
        seconds: time limit of the question, from its start.
        batch: what to answer instead of the request's own question.
    """
    return {
        "code": code(),
        "environment": environment(),
        "elapsed": elapsed,
        "seconds": seconds,
        "request": request.to_json(),
        "batch": batch and batch._asdict(),
    }


def encode(message: Message) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def message_of(event: AskEvent) -> Message:
    """Return an event as a message."""
    match event:
        case SignalText(text):
            return {"signal": text}
        case AnswerText(text):
            return {"answer": text}
        case Note(text):
            return {"note": text}
        case Sent():
            return {"sent": event.as_json()}
        case Result(receipt):
            return {"result": receipt.model_dump_json()}
        case Stored(_, id_, enabled, turn):
            return {"stored": id_, "enabled": enabled, "turn": turn and turn.to_json()}


def error_message(error: DeviceError) -> Message:
    """Return an error as a message."""
    return {"error": type(error).__name__, "message": str(error)}


def read_error(message: Message) -> DeviceError:
    """Return the error that `error_message` described."""
    kind = getattr(errors, message["error"], ModelProblem)
    error: DeviceError = kind(message["message"])
    return error


class EventReader:
    """Turns messages into the events that they describe.

    Receipts read as `duet_contract.receipt.Receipt` does, and `model_dump_json` returns what the
    server sent; they are not validated, since importing the models takes longer than an answer may.
    """

    def __init__(self) -> None:
        self._result: Result | None = None

    def read(self, message: Message) -> AskEvent:
        """Return the event of a message.

        Raises:
            DeviceError: the message is an error of the question.
        """
        match message:
            case {"signal": text}:
                return SignalText(text)
            case {"answer": text}:
                return AnswerText(text)
            case {"note": text}:
                return Note(text)
            case {"sent": text}:
                return _ReceivedSent(text)
            case {"result": receipt}:
                # Programs that want timings use `duet_device.Client`.
                self._result = Result(_receipt(receipt), Timings(None, None, None, 0, 0))
                return self._result
            case {"stored": id_, "enabled": enabled, "turn": turn}:
                assert self._result
                return Stored(self._result, id_, enabled, turn and _turn(turn))
            case {"error": _}:
                raise read_error(message)
        raise ModelProblem("the local server sent an unknown message")


class _ReceivedSent(Sent):
    """A request that left the device, as JSON; parsed where it is looked at."""

    def __new__(cls, text: str) -> Self:
        """Hold the JSON in the place of the request."""
        return super().__new__(cls, cast("ReasonRequest", text))

    @property
    def request(self) -> "ReasonRequest":
        """All that the cloud was given for this question."""
        from google.protobuf.json_format import Parse

        from duet_contract.v1.inference_pb2 import ReasonRequest

        return Parse(self.as_json(), ReasonRequest())

    def as_json(self) -> str:
        """Return the request as one JSON object in a line."""
        return cast("str", self[0])


class _Receipt(SimpleNamespace):
    """A receipt as it was sent."""

    text: str

    def model_dump_json(self) -> str:
        """See `pydantic.BaseModel`."""
        return self.text


def _turn(data: dict[str, Any]) -> "Turn":
    from duet_device.turns import Turn

    return Turn.from_json(data)


def _receipt(text: str) -> "Receipt":
    fields = json.loads(text, object_hook=lambda data: SimpleNamespace(**data))
    return cast("Receipt", _Receipt(**vars(fields), text=text))
