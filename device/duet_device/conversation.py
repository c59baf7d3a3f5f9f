"""Several turns: which earlier ones the decoder reads, and which of them are sent."""

from collections.abc import Callable, Iterable, Sequence

from duet_contract.manifest import Manifest
from duet_device.events import Result
from duet_device.privacy.found import Finder
from duet_device.privacy.redaction import Redaction, redact
from duet_device.question import Question
from duet_device.turns import Past, Turn

# Between the texts that are redacted together; no finder looks across it.
_BETWEEN = "\n\u241e\n"


class Conversation:
    """The turns of a conversation with one pair.

    The decoder reads them all, as far as its window holds them. Only `share` of them are sent, as
    text before the newest question. A pair that computes with the numbers of the question reads no
    other turns than those.

    Args:
        manifest: the pair's.
        share: most earlier turns that are sent with a question.
        finders: what is redacted in all that is sent; None redacts nothing. A person has one
            placeholder throughout.
        past: turns of an earlier session.

    Examples:
        >>> from duet_device import Client
        >>> with Client("smollm2-135m", device_only=True) as client:
        ...     talk = Conversation(client.pair.manifest)
        ...     for text in ("Name a river.", "How long is it?"):
        ...         question = talk.ask(text)
        ...         talk.add(question, client.ask(question))
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        share: int = 0,
        finders: Sequence[Finder] | None = None,
        past: Iterable[Past] = (),
    ) -> None:
        self._manifest = manifest
        self._finders = finders
        self.share = share
        self.past = list(past)

    def ask(self, text: str, check: Callable[[], None] = lambda: None) -> Question:
        """Return the next question.

        Args:
            text: as typed.
            check: called between steps of the redaction; raises to stop.

        Raises:
            UsageProblem: the text is empty or malformed.
        """
        question = Question(text)
        texts = [part for past in self.past for part in (past.question, past.answer)]
        redaction = None
        if self._finders is not None:
            redaction, texts = self._redact([*texts, text], check)
        pairs = list(zip(texts[::2], texts[1::2], strict=True))
        shared = pairs[-self.share :] if self.share else []
        turns = [
            past.turn or Turn(asked, None, answer)
            for past, (asked, answer) in zip(self.past, pairs, strict=True)
        ]
        private = self._manifest.quantities == "private"
        return Question(
            question.text,
            redaction=redaction,
            shared="".join(f"Question: {asked}\nAnswer: {answer}\n\n" for asked, answer in shared),
            earlier=None if private else tuple(turns),
        )

    def add(self, question: Question, result: Result) -> None:
        """Add a question that was answered."""
        self.past.append(Past(question.text, result.answer, turn_of(question, result)))

    def reset(self) -> None:
        """Forget all turns."""
        self.past.clear()

    def _redact(self, texts: list[str], check: Callable[[], None]) -> tuple[Redaction, list[str]]:
        """Return the redaction of the last text, and the others redacted alike."""
        assert self._finders is not None
        mark = _BETWEEN.strip()
        whole = _BETWEEN.join(text.replace(mark, " ") for text in texts)
        redaction = redact(whole, self._finders, check=check)
        *others, redaction.text = redaction.text.split(_BETWEEN)
        return redaction, others


def turn_of(question: Question, result: Result) -> Turn:
    """Return an answered turn as the decoder holds it."""
    signal = None if result.receipt.source == "device" else result.signal_ids
    return Turn(question.asked, signal, result.answer_ids)
