"""What a client holds open: a pair's decoder and connections, and how they answer questions.

A question is sent first (`Session._ask`) and answered then (`Session._finish`): the decoder is loaded
while the cloud already works, and signals of later questions arrive while one is answered.
"""

import logging
import weakref
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from duet_contract.calibration import Calibration
from duet_contract.console import signals_held
from duet_contract.errors import ContractError
from duet_contract.receipt import Route
from duet_contract.v1.inference_pb2 import ReasonRequest, SignalChunk
from duet_device.deadline import Deadline
from duet_device.errors import DeviceError, Interrupted, ModelProblem
from duet_device.events import Event, Note, Result
from duet_device.known_servers import KnownServers
from duet_device.link import Link, cancelled
from duet_device.pairs.pair import Pair, load_decoder
from duet_device.policy.calibrations import HOW, calibration_of
from duet_device.policy.routing import asks_meanwhile, by_user
from duet_device.question import Question, build_request
from duet_device.servers import Server
from duet_device.settings import Settings

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder
    from duet_device.exchange import Exchange

log = logging.getLogger("duet_device")


@dataclass(frozen=True)
class SentQuestion:
    """A question that was sent; its signal is buffered until the decoder reads it."""

    question: Question
    """The question, as the pair reads it."""
    settings: Settings
    """Checked settings."""
    deadline: Deadline
    """When to stop."""
    request_id: str
    """Id of the request."""
    notes: tuple[Note, ...]
    """What the user should know before any other event."""
    calibration: Calibration | None
    """The pair's; None if it has none that can be used."""
    link: Link | None = None
    """Source of the signal; None if the cloud is not asked."""
    route: Route | None = None
    """What decided who answers; None if nothing did. Where it is the device, `link` is cancelled."""


class Session:
    """Decoder and connections of one pair. Of one thread at a time.

    Args:
        pair: the pair.
        threads: processors used for decoding; None is the default.
        credentials: for the connections; those of this device's identities, if None.
        decoder: a loaded decoder to use; the caller closes it.
        channel: an open channel to use for every server; the caller closes it.
    """

    def __init__(
        self,
        pair: Pair,
        threads: int | None,
        credentials: grpc.ChannelCredentials | None,
        decoder: "Decoder | None",
        channel: grpc.Channel | None,
    ) -> None:
        self._pair = pair
        self._threads = threads
        self._given_decoder = decoder
        self._decoder: Decoder | None = None
        self._servers = KnownServers(pair.manifest, credentials, channel)
        # Ctrl-C may come between a link and the block that cancels it; `close` then does.
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()

    def answer(
        self, question: Question, settings: Settings, deadline: Deadline
    ) -> Generator[Event]:
        """Answer a question; see `duet_device.client.Client.stream`."""
        server = None
        try:
            for event in self._finish(self._ask(question, settings, deadline)):
                if isinstance(event, Result) and event.receipt.source == "duet":
                    server = event.receipt.server
                yield event
            # Only now, and only over a link that works: it delays no answer.
            yield from self._servers.renew(server)
        except ContractError as error:
            raise ModelProblem(str(error)) from error

    def answer_all(
        self,
        questions: Iterable[str | Question | DeviceError],
        settings: Settings,
        in_flight: int,
        deadline: Deadline,
    ) -> Generator[tuple[int, Event | DeviceError]]:
        """Answer questions in order, up to `in_flight` of them sent and not answered.

        See `duet_device.client.Client.stream_all`.

        Args:
            questions: read one by one, as there is room for them; an error is yielded in its turn.
            settings: of each question.
            in_flight: most questions that were sent and are not answered, the current one included.
            deadline: stops all.

        Raises:
            Interrupted: the user, or the program that asked, stopped the questions.
        """
        numbered = enumerate(questions)
        waiting: deque[tuple[int, SentQuestion | DeviceError]] = deque()
        server = None
        try:
            while True:
                while len(waiting) < in_flight and (item := next(numbered, None)):
                    number, question = item
                    part = deadline.part(settings.timeout)
                    waiting.append((number, self._ask_or_fail(question, settings, part)))
                if not waiting:
                    break
                number, asked = waiting.popleft()
                if isinstance(asked, DeviceError):
                    yield number, asked
                    continue
                try:
                    for event in self._finish(asked):
                        if isinstance(event, Result):
                            server = event.receipt.server or server
                        yield number, event
                except (ContractError, DeviceError) as error:
                    yield number, _failure(error)
        finally:
            for _, asked in waiting:
                if isinstance(asked, SentQuestion) and asked.link:
                    asked.link.cancel()
        # Only now: it closes connections.
        for note in self._servers.renew(server):
            log.info(note.text)

    def warm(self, settings: Settings, deadline: Deadline) -> None:
        """Load the decoder, connect, and evaluate what every prompt begins with.

        Raises:
            ModelProblem: the pair or its decoder cannot be used.
            IdentityProblem: there is no usable identity for the server; the decoder is loaded.
        """
        decoder, manifest = self._load_decoder(), self._pair.manifest
        from duet_device.answer import warm
        from duet_device.decoder.llama import release
        from duet_device.exchange import Exchange

        # Before the evaluation, which reads the pages in use again. It costs milliseconds, so that a
        # question in a process of its own does without.
        release(self._pair.directory / manifest.decoder.path)
        question = Question("?").for_pair(manifest)
        warm(Exchange(question, manifest, settings, decoder, deadline))
        notes: list[Note] = []
        if not settings.device_only:
            self._servers.connect(settings, deadline, notes)
        for note in notes:
            log.info(note.text)

    def close(self) -> None:
        """Free decoder and connections; the next question opens them again."""
        for link in list(self._links):
            link.cancel()
        self._servers.close()
        if decoder := self._decoder:
            self._decoder = None
            decoder.close()

    def _ask_or_fail(
        self, question: str | Question | DeviceError, settings: Settings, deadline: Deadline
    ) -> SentQuestion | DeviceError:
        if isinstance(question, DeviceError):
            return question
        try:
            return self._ask(fit(question, self._pair), settings, deadline)
        except (ContractError, DeviceError) as error:
            return _failure(error)

    def _ask(self, question: Question, settings: Settings, deadline: Deadline) -> SentQuestion:
        """Send a question, unless the device is to answer it alone."""
        manifest = self._pair.manifest
        request = build_request(question, manifest, settings)
        notes: list[Note] = []
        judges = settings.route == "auto" and not settings.device_only and question.signal is None
        calibration = self._calibration(notes, judges=judges)

        def asked(link: Link | None, route: Route | None = None) -> SentQuestion:
            id_ = request.request_id
            return SentQuestion(
                question, settings, deadline, id_, tuple(notes), calibration, link, route
            )

        def ask() -> Link | None:
            servers = self._servers.open(settings, deadline, notes)
            return self._link(servers, request, settings, deadline) if servers else None

        if settings.device_only or question.signal is not None:
            return asked(None)
        if settings.route == "device":
            return asked(None, by_user(manifest, force=settings.force))
        threshold = calibration.gate if calibration and judges else None
        if calibration is None or threshold is None:
            return asked(ask())
        is_loaded = bool(self._given_decoder or self._decoder)
        link = ask() if asks_meanwhile(threshold, loaded=is_loaded) else None
        try:
            from duet_device.gate import judge

            route = judge(self._exchange(question, settings, deadline, None), calibration)
        except BaseException:
            if link:
                link.cancel()
            raise
        if route.taken == "cloud":
            link = link or ask()
        elif link:
            link.cancel()
            route = route.model_copy(update={"unused_tokens": self._count(link.held)})
        return asked(link, route)

    def _finish(self, asked: SentQuestion) -> Generator[Event]:
        """Answer a question that was sent; its link is cancelled in the end."""

        def events() -> Generator[Event]:
            yield from asked.notes
            # Loaded and imported while the cloud already works.
            exchange = self._exchange(
                asked.question, asked.settings, asked.deadline, asked.calibration
            )
            from duet_device.answer import answer

            yield from answer(exchange, asked.request_id, asked.link, ask, asked.route)

        def ask(request: ReasonRequest) -> Link:
            return self._link(self._servers.opened, request, asked.settings, asked.deadline)

        with closing(cancelled(asked.link, events())) as stream:
            yield from stream

    def _calibration(self, notes: list[Note], *, judges: bool) -> Calibration | None:
        """Return the pair's calibration; note why it is missing, where the device is to judge."""
        try:
            calibration = calibration_of(self._pair, lambda text: notes.append(Note(text)))
        except ModelProblem as error:
            asked = "the cloud is asked, and " if judges else ""
            notes.append(Note(f"{error}; {asked}the policy's defaults apply"))
            return None
        if judges and not (calibration and calibration.gate):
            pair = self._pair.manifest.id
            notes.append(Note(f"{pair} has no gate, the cloud is asked: {HOW} makes one"))
        return calibration

    def _exchange(
        self,
        question: Question,
        settings: Settings,
        deadline: Deadline,
        calibration: Calibration | None,
    ) -> "Exchange":
        decoder = self._load_decoder()
        from duet_device.exchange import Exchange

        return Exchange(question, self._pair.manifest, settings, decoder, deadline, calibration)

    def _link(
        self,
        servers: list[Server],
        request: ReasonRequest,
        settings: Settings,
        deadline: Deadline,
    ) -> Link:
        manifest = self._pair.manifest
        with signals_held():
            link = Link(
                servers,
                request,
                deadline,
                settings.connect_timeout,
                budget=request.budget or settings.budget_for(manifest),
                vocabulary=manifest.decoder.vocabulary.size,
            )
            self._links.add(link)
        return link

    def _count(self, signal: SignalChunk) -> int:
        """Count the tokens of a signal, in the decoder's vocabulary if it is text."""
        text = signal.text
        return len(self._load_decoder().encode_text(text) if text else signal.tokens.ids)

    def _load_decoder(self) -> "Decoder":
        if self._given_decoder is not None:
            return self._given_decoder
        if self._decoder is None:
            self._decoder = load_decoder(self._pair, self._threads)
        return self._decoder


def fit(question: str | Question, pair: Pair) -> Question:
    """Return a question as a pair reads it.

    Raises:
        UsageProblem: it cannot fit the pair.
    """
    if isinstance(question, str):
        question = Question(question)
    question = question.for_pair(pair.manifest)
    question.check_size(pair.manifest)
    return question


def _failure(error: ContractError | DeviceError) -> DeviceError:
    if isinstance(error, Interrupted):
        raise error
    return error if isinstance(error, DeviceError) else ModelProblem(str(error))
