"""Answer a request: redact and look up, ask the client, store. The same for every command."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from duet_contract.pairs import DEFAULT_PAIR
from duet_device.ask_request import AskRequest
from duet_device.client import Client
from duet_device.conversation import Conversation, Past
from duet_device.deadline import Deadline
from duet_device.events import AskEvent, Note, Result, Stored
from duet_device.pairs.pair import Pair, default_pair
from duet_device.privacy.context import Document
from duet_device.privacy.found import Finder
from duet_device.privacy.words import Word
from duet_device.question import Question
from duet_device.recorder import Asker, Recorder
from duet_device.settings import QuestionSettings, Settings


class Preparation:
    """Turns texts into questions with the options of a request, and stores their answers.

    Args:
        request: with the options.
        asker: its pair and settings.
        deadline: of all of it.
        note: given lines for the user.

    Raises:
        UsageProblem: what finds personal data is not installed.
    """

    def __init__(
        self, request: AskRequest, asker: Asker, deadline: Deadline, note: Callable[[str], None]
    ) -> None:
        self._request = request
        self._asker = asker
        self._deadline = deadline
        self._documents = tuple(Document(name, text) for name, text in request.context)
        self._documents_with_numbers = tuple(Document(name, text) for name, text in request.notes)
        manifest = asker.pair.manifest
        if self._documents and request.context_optional and manifest.quantities == "private":
            names = ", ".join(document.name for document in self._documents)
            note(f"{manifest.id} reads the question alone; left out: {names}")
            self._documents = ()
        self._finders: Sequence[Finder] | None = None
        if request.redact or request.redact_words or request.redact_numbers:
            words = [Word(text, label) for text, label in request.redact_words]
            self._finders = finders_for(words, request.redact_numbers, note)
        # It may ask for a passphrase, as may the search for a stored signal.
        with deadline.waiting():
            self._recorder = Recorder(request.store, note)

    @property
    def stores(self) -> bool:
        """Whether answers are stored."""
        return self._recorder.enabled

    def question(self, text: str) -> Question:
        """Return a question, redacted and with its stored signal where the request asks for it.

        Raises:
            UsageProblem: the text is empty or malformed.
            DeviceError: see `Recorder.find` and `Deadline.check`.
        """
        asked = self._conversation(text) if self._request.earlier else self._single(text)
        if not self._request.reuse:
            return asked
        with self._deadline.waiting():
            return replace(asked, signal=self._recorder.find(asked, self._asker))

    def store(self, question: Question, result: Result) -> str | None:
        """Store an answer; return the id of its record, None if it was not stored."""
        return self._recorder.store(question, self._asker, result)

    def _single(self, text: str) -> Question:
        from duet_device.privacy.redaction import redact

        asked = Question(text, self._documents, notes=self._documents_with_numbers)
        if self._finders is None:
            return asked
        taken = "\n".join(document.text for document in self._documents)
        redaction = redact(asked.whole, self._finders, taken, self._deadline.check)
        return replace(asked, redaction=redaction)

    def _conversation(self, text: str) -> Question:
        past = [Past(question, answer) for question, answer in self._request.earlier]
        talk = Conversation(self._asker.pair.manifest, finders=self._finders, past=past)
        return replace(talk.ask(text, self._deadline.check), context=self._documents)


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
        prepared = Preparation(request, self, self._deadline, self._notes.append)
        yield from self._noted()
        question = prepared.question(request.question)
        yield from self._noted()
        stream = self._client.stream(question, deadline=self._deadline, **request.settings)
        with closing(stream):
            for event in stream:
                yield event
                if isinstance(event, Result):
                    stored = prepared.store(question, event)
                    yield from self._noted()
                    yield Stored(event, stored, enabled=prepared.stores)

    def _noted(self) -> Iterator[Note]:
        while self._notes:
            yield Note(self._notes.pop(0))


def finders_for(
    words: Sequence[Word], numbers: bool, note: Callable[[str], None]
) -> Sequence[Finder]:
    """Return what `--redact` and its variants look for.

    Args:
        words: of the user's dictionary.
        numbers: whether numbers count.
        note: given a line about what is missing.

    Raises:
        UsageProblem: what finds personal data is not installed.
    """
    from duet_device.privacy.forms import find_numbers
    from duet_device.privacy.identifiers import load_finders
    from duet_device.privacy.words import find_words

    return [
        *([find_words(words)] if words else []),
        *load_finders(note),
        *([find_numbers] if numbers else []),
    ]


def pair_of(request: AskRequest) -> str:
    """Return the name or directory of a request's pair.

    Raises:
        UsageProblem: several pairs are installed, and the request names none.
    """
    return request.pair or default_pair() or DEFAULT_PAIR


def open_client(request: AskRequest, settings: QuestionSettings | None = None) -> Client:
    """Return a client of a request's pair and server; it opens neither yet.

    Args:
        request: names pair, server and threads.
        settings: of questions that change none.

    Raises:
        ModelProblem: there is no such pair.
        UsageProblem: several pairs are installed and the request names none, or a setting is out of
            range.
    """
    return Client(
        pair_of(request),
        allow_unsigned=request.allow_unsigned,
        server=request.server,
        threads=request.threads,
        **(settings or {}),
    )


def answer_here(request: AskRequest, deadline: Deadline) -> Generator[AskEvent]:
    """Answer a request in this process, with a client of its own; see `Asking.events`.

    Raises:
        DeviceError: the question was not answered.
    """
    with open_client(request, request.settings) as client:
        yield from Asking(request, client, deadline).events()
