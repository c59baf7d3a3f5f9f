"""Answer a request: redact and look up, ask the client, store. The same for every command."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace

from duet_contract.pairs import DEFAULT_PAIR
from duet_device.ask_request import AskRequest
from duet_device.client import Client
from duet_device.deadline import Deadline
from duet_device.events import AskEvent, Note, Result, Stored
from duet_device.pairs.pair import Pair
from duet_device.privacy.context import Document
from duet_device.question import Question
from duet_device.recorder import Recorder
from duet_device.settings import Settings


class Asking:
    """One request on its way.

    Args:
        request: the question and its options.
        client: a client of the request's pair and server.
        deadline: of the question.

    Raises:
        UsageProblem: a setting is out of range.
    """

    pair: Pair
    """The pair that answers."""
    settings: Settings
    """The question's settings."""

    def __init__(self, request: AskRequest, client: Client, deadline: Deadline) -> None:
        self.pair = client.pair
        self.settings = replace(client.settings, **request.settings)
        self.settings.check(self.pair.manifest)
        self._request = request
        self._client = client
        self._deadline = deadline
        self._notes: list[str] = []

    def events(self) -> Generator[AskEvent]:
        """Answer the request, event by event.

        The answer is stored when the event after the `Result` is asked for: a caller that cannot
        deliver the answer closes the generator instead.

        Yields:
            The client's events, and a `Stored` after the `Result`.

        Raises:
            DeviceError: the question was not answered.
        """
        request = self._request
        context = tuple(Document(name, text) for name, text in request.context)
        if context and request.context_optional and self.pair.manifest.quantities == "private":
            names = ", ".join(document.name for document in context)
            yield Note(f"{self.pair.manifest.id} reads the question alone; left out: {names}")
            context = ()
        question = Question(request.question, context=context)
        if request.redact or request.redact_words or request.redact_numbers:
            question = yield from self._redacted(question)
        # Either may ask for a passphrase.
        with self._deadline.waiting():
            recorder = Recorder(request.store, self._notes.append)
            if request.reuse:
                question = replace(question, signal=recorder.find(question, self))
        yield from self._noted()
        stream = self._client.stream(question, deadline=self._deadline, **request.settings)
        with closing(stream):
            for event in stream:
                yield event
                if isinstance(event, Result):
                    stored = recorder.store(question, self, event)
                    yield from self._noted()
                    yield Stored(event, stored, enabled=recorder.enabled)

    def _redacted(self, question: Question) -> Generator[Note, None, Question]:
        from duet_device.privacy.forms import find_numbers
        from duet_device.privacy.identifiers import load_finders
        from duet_device.privacy.redaction import redact
        from duet_device.privacy.words import Word, find_words

        words = [Word(text, label) for text, label in self._request.redact_words]
        finders = [find_words(words)] if words else []
        finders += load_finders(self._notes.append)
        if self._request.redact_numbers:
            finders.append(find_numbers)
        yield from self._noted()
        taken = "\n".join(document.text for document in question.context)
        redaction = redact(question.text, finders, taken, self._deadline.check)
        return replace(question, redaction=redaction)

    def _noted(self) -> Iterator[Note]:
        while self._notes:
            yield Note(self._notes.pop(0))


def open_client(request: AskRequest) -> Client:
    """Return a client of a request's pair and server; it opens neither yet.

    Raises:
        ModelProblem: there is no such pair.
    """
    return Client(
        request.pair or DEFAULT_PAIR,
        allow_unsigned=request.allow_unsigned,
        server=request.server,
        threads=request.threads,
    )


def answer_here(request: AskRequest, deadline: Deadline) -> Generator[AskEvent]:
    """Answer a request in this process, with a client of its own; see `Asking.events`.

    Raises:
        DeviceError: the question was not answered.
    """
    with open_client(request) as client:
        yield from Asking(request, client, deadline).events()
