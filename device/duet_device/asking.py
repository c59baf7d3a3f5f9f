"""Answer a request: redact and look up, ask the client, store. The same for every command."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from duet_device.ask_request import AskRequest
from duet_device.client import Client
from duet_device.conversation import Conversation, turn_of
from duet_device.deadline import Deadline
from duet_device.errors import DeviceError, UsageProblem
from duet_device.events import AskEvent, Note, Result, Stored
from duet_device.pairs.pair import Pair, chosen_pair
from duet_device.privacy.context import Document
from duet_device.privacy.found import Finder
from duet_device.privacy.redaction import redact
from duet_device.privacy.words import Word, find_words
from duet_device.question import Question
from duet_device.recorder import Recorder
from duet_device.settings import Settings


class Asking:
    """One request on its way: its options make questions of texts, and its answers are stored.

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
        self._prepare()
        yield from self._noted()
        question = self._question(request.question)
        yield from self._noted()
        stream = self._client.stream(question, deadline=self._deadline, **request.settings)
        with closing(stream):
            for event in stream:
                yield event
                if isinstance(event, Result):
                    stored = self._store(question, event)
                    yield from self._noted()
                    yield stored

    def all(
        self, questions: Sequence[str], in_flight: int
    ) -> Generator[tuple[int, AskEvent | DeviceError]]:
        """Answer several questions with the request's options, in their order.

        Args:
            questions: as typed; the request's own is not asked.
            in_flight: most questions that were sent and are not answered.

        Yields:
            The question's number, from 0, and an event of it as `events` yields them, or its error.

        Raises:
            DeviceError: the questions were stopped, or cannot be prepared.
        """
        self._prepare()
        asked: dict[int, Question] = {}

        def ask() -> Iterator[Question | DeviceError]:
            for number, text in enumerate(questions):
                try:
                    asked[number] = self._question(text)
                    yield asked[number]
                except UsageProblem as error:
                    yield error

        stream = self._client.stream_all(
            ask(), in_flight=in_flight, interrupt=self._deadline.stop, **self._request.settings
        )
        with closing(stream):
            for number, event in stream:
                for note in self._noted():
                    yield number, note
                yield number, event
                if isinstance(event, Result):
                    stored = self._store(asked.pop(number), event)
                    for note in self._noted():
                        yield number, note
                    yield number, stored

    def _prepare(self) -> None:
        """Read the options that all questions share.

        Raises:
            UsageProblem: what finds personal data is not installed.
        """
        request, manifest = self._request, self.pair.manifest
        self._documents = tuple(Document(name, text) for name, text in request.context)
        self._with_numbers = tuple(Document(name, text) for name, text in request.notes)
        if self._documents and request.context_optional and manifest.quantities == "private":
            names = ", ".join(document.name for document in self._documents)
            self._notes.append(f"{manifest.id} reads the question alone; left out: {names}")
            self._documents = ()
        self._finders: Sequence[Finder] | None = None
        if request.redact or request.redact_words or request.redact_numbers:
            from duet_device.privacy.forms import find_numbers
            from duet_device.privacy.identifiers import load_finders

            words = [Word(text, label) for text, label in request.redact_words]
            self._finders = [
                *([find_words(words)] if words else []),
                *load_finders(self._notes.append),
                *([find_numbers] if request.redact_numbers else []),
            ]
        # It may ask for a passphrase, as may the search for a stored signal.
        with self._deadline.waiting():
            self._recorder = Recorder(manifest, self.settings, request.store, self._notes.append)

    def _question(self, text: str) -> Question:
        """Return a question, redacted and with its stored signal where the request asks for it.

        Raises:
            UsageProblem: the text is empty or malformed.
            DeviceError: see `Recorder.find` and `Deadline.check`.
        """
        request, check = self._request, self._deadline.check
        if request.earlier or request.chat:
            talk = Conversation(
                self.pair.manifest,
                share=request.share,
                finders=self._finders,
                past=request.earlier,
            )
            asked = replace(talk.ask(text, check), context=self._documents)
        else:
            asked = Question(text, self._documents, notes=self._with_numbers)
            if self._finders is not None:
                taken = "\n".join(document.text for document in self._documents)
                redaction = redact(asked.whole, self._finders, taken, check)
                asked = replace(asked, redaction=redaction)
        if not request.reuse:
            return asked
        with self._deadline.waiting():
            return replace(asked, signal=self._recorder.find(asked))

    def _store(self, question: Question, result: Result) -> Stored:
        """Store an answer, where that was asked for; return what became of it."""
        chat = self._request.chat
        id_ = self._recorder.store(question, result, chat)
        turn = turn_of(question, result) if chat else None
        return Stored(result, id_, enabled=self._recorder.enabled, turn=turn)

    def _noted(self) -> Iterator[Note]:
        while self._notes:
            yield Note(self._notes.pop(0))


def open_client(request: AskRequest) -> Client:
    """Return a client of a request's pair and server; it opens neither yet.

    Raises:
        ModelProblem: there is no such pair.
        UsageProblem: several pairs are installed and the request names none, or a setting is out of
            range.
    """
    return Client(
        chosen_pair(request.pair),
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


def answer_all_here(
    request: AskRequest, questions: Sequence[str], in_flight: int, deadline: Deadline
) -> Generator[tuple[int, AskEvent | DeviceError]]:
    """Answer questions in this process, with a client of its own; see `Asking.all`.

    Raises:
        DeviceError: the questions were stopped, or cannot be asked.
    """
    with open_client(request) as client:
        yield from Asking(request, client, deadline).all(questions, in_flight)
