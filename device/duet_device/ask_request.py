"""Define what a command, the API or the page asks: a question with its options, as plain data.

A request can be sent to a local server as JSON, and importing this module is cheap, so that `ask`
can send it before anything else is imported.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from duet_device.setting_types import QuestionSettings
    from duet_device.turns import Past


class AskRequest(NamedTuple):
    """A question and its options."""

    question: str
    """The question as typed."""
    pair: str | None
    """Name of an installed pair, or directory of a pair; None is the default pair."""
    server: str
    """HOST:PORT of the cloud."""
    settings: "QuestionSettings"
    """The question's settings."""
    threads: int | None = None
    """Processors used for decoding; None is the default."""
    allow_unsigned: bool = False
    """Load a pair without a trusted signature."""
    context: tuple[tuple[str, str], ...] = ()
    """Private documents for the decoder, each a name and a text."""
    notes: tuple[tuple[str, str], ...] = ()
    """Documents with quantities, of which lines are sent without numbers, each a name and a text."""
    context_optional: bool = False
    """Leave out the context, with a note, if the pair reads none."""
    earlier: "tuple[Past, ...]" = ()
    """Earlier turns of a conversation, for the decoder."""
    share: int = 0
    """Earlier turns that are sent to the cloud with a question. At most: the last ones."""
    chat: str | None = None
    """Id in history of the chat that this is a turn of; None outside chats."""
    redact: bool = False
    """Replace what identifies a person before the question is sent."""
    redact_words: tuple[tuple[str, str], ...] = ()
    """Words to replace as well, each with its label. Implies `redact`."""
    redact_numbers: bool = False
    """Replace numbers as well. Implies `redact`."""
    reuse: bool = False
    """Use the stored signal if the same question was answered before."""
    store: bool = True
    """Store the answer, if the user switched that on."""

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON data."""
        return {**self._asdict(), "earlier": [past.to_json() for past in self.earlier]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the request that `to_json` described.

        Examples:
            >>> import json
            >>> from duet_device.turns import Past
            >>> request = AskRequest("why?", "toy", "127.0.0.1:1", {}, earlier=(Past("a?", "b"),))
            >>> AskRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
            True
        """
        from duet_device.turns import Past

        pairs = {
            name: tuple(map(tuple, data[name])) for name in ("context", "notes", "redact_words")
        }
        return cls(**{**data, **pairs, "earlier": tuple(map(Past.from_json, data["earlier"]))})
