"""Define the events of a question, in their order, and its result.

A stream of `duet_device.Client` yields these events; the last is the `Result`. Named tuples are made
in a fifth of a dataclass's time, which each `ask` would wait for: tell them apart by their types.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # Not imported here, so that `ask` through a local server starts at once.
    from duet_contract.receipt import Receipt
    from duet_contract.v1.inference_pb2 import ReasonRequest, SignalEnd
    from duet_device.turns import Turn


class Sent(NamedTuple):
    """A request that left the device, before any other event that follows from it.

    Examples:
        >>> from duet_contract.v1.inference_pb2 import ReasonRequest
        >>> Sent(ReasonRequest(question="What is 3*3?", budget=16)).as_json()
        '{"question": "What is 3*3?", "budget": 16}'
    """

    request: "ReasonRequest"
    """All that the cloud was given for this question."""

    def as_json(self) -> str:
        """Return the request as one JSON object in a line."""
        from google.protobuf.json_format import MessageToJson

        return MessageToJson(
            self.request, preserving_proto_field_name=True, indent=None, ensure_ascii=False
        )


class SignalText(NamedTuple):
    """The next characters of the signal.

    Examples:
        >>> from duet_device import Client
        >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
        ...     for event in client.stream("Gloria washes 3 cars every hour. How many in 3 hours?"):
        ...         if isinstance(event, SignalText):
        ...             print(event.text, end="")
        3*3=9
    """

    text: str
    """Text for people to read; never empty."""


class AnswerText(NamedTuple):
    """The next characters of the answer.

    Examples:
        >>> from duet_device import Client
        >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
        ...     for event in client.stream("Gloria washes 3 cars every hour. How many in 3 hours?"):
        ...         if isinstance(event, AnswerText):
        ...             print(event.text, end="")
        9
    """

    text: str
    """Text as in the receipt, redacted values restored; never empty."""


class Note(NamedTuple):
    """Something that the user should know, such as that there is no cloud.

    Examples:
        >>> Note("no connection to gpu.example.org:50151; the device answers alone").text
        'no connection to gpu.example.org:50151; the device answers alone'
    """

    text: str
    """One line."""


class Timings(NamedTuple):
    """Moments that the receipt leaves out, in milliseconds since the question's start.

    Examples:
        >>> from duet_device import Client
        >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
        ...     timings = client.ask("Gloria washes 3 cars every hour. How many in 3 hours?").timings
        >>> timings.accepted <= timings.guessed
        True
    """

    prefix: float | None
    """The prompt before the signal is evaluated; None without a signal from the cloud."""
    done: float | None
    """The cloud's last message arrived; None without a signal from the cloud."""
    cloud: "SignalEnd | None"
    """That message, with the cloud's own milliseconds."""
    guessed: int
    """Answer tokens predicted by prompt lookup."""
    accepted: int
    """Predicted tokens that were right."""


class Result(NamedTuple):
    """The answer and what it cost; the last event of a question but for notes.

    Examples:
        >>> from duet_device import Client
        >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
        ...     result = client.ask("Gloria washes 3 cars every hour. How many in 3 hours?")
        >>> result.answer, result.receipt.tokens.signal
        ('9', 5)
    """

    receipt: "Receipt"
    """Answer, signal, tokens, bytes, milliseconds."""
    timings: Timings
    """Moments that the receipt leaves out."""
    signal_ids: tuple[int, ...] = ()
    """The signal in the decoder's tokens."""
    answer_ids: tuple[int, ...] = ()
    """The answer in the decoder's tokens, before redacted values are restored."""

    @property
    def answer(self) -> str:
        """The whole answer."""
        return self.receipt.answer


Event = Sent | SignalText | AnswerText | Note | Result


class Stored(NamedTuple):
    """What became of an answer, after its `Result` (`duet_device.asking`).

    Examples:
        >>> from duet_device import Client
        >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
        ...     result = client.ask("Gloria washes 3 cars every hour. How many in 3 hours?")
        >>> stored = Stored(result, id=None)
        >>> stored.result.answer, stored.enabled
        ('9', False)
    """

    result: Result
    """The answer."""
    id: str | None
    """Id of the answer's record in history; None if it was not stored."""
    enabled: bool = False
    """Whether storing this answer was requested."""
    turn: "Turn | None" = None
    """The question and its answer as the decoder holds them; None outside chats."""


AskEvent = Event | Stored
