"""Earlier turns of a conversation, as plain data. Importing this is cheap, as for `ask_request`."""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Turn:
    """An earlier turn of a conversation, as the decoder reads it."""

    question: str
    """The question as the decoder read it."""
    signal: tuple[int, ...] | None
    """The signal in the decoder's tokens; None if the device answered alone."""
    answer: tuple[int, ...] | str
    """The answer in the decoder's tokens, or its text."""

    def to_json(self) -> dict[str, Any]:
        """Return the turn as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the turn that `to_json` described, perhaps by way of JSON."""
        signal, answer = data["signal"], data["answer"]
        return cls(
            data["question"],
            None if signal is None else tuple(signal),
            answer if isinstance(answer, str) else tuple(answer),
        )


@dataclass(frozen=True)
class Past:
    """An earlier turn, as the user saw it."""

    question: str
    """The question as typed."""
    answer: str
    """The answer as shown."""
    turn: Turn | None = None
    """The turn as the decoder holds it; None makes one of the texts."""

    def to_json(self) -> dict[str, Any]:
        """Return the turn as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the turn that `to_json` described."""
        turn = data["turn"]
        return cls(data["question"], data["answer"], turn and Turn.from_json(turn))
