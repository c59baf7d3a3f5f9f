"""The device's client: keeps decoder and connection, and answers one question after another."""

import logging
import threading
import weakref
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

import grpc

from duet_contract.calibration import Calibration
from duet_contract.errors import ContractError
from duet_contract.receipt import Route
from duet_contract.v1.inference_pb2 import ReasonRequest, SignalChunk
from duet_device.deadline import Deadline
from duet_device.errors import (
    DeviceError,
    Interrupted,
    ModelProblem,
    UsageProblem,
)
from duet_device.events import Event, Note, Result
from duet_device.known_servers import KnownServers
from duet_device.link import Link, cancelled
from duet_device.pairs.pair import Pair, load_decoder, open_pair
from duet_device.pipeline import Asked, answer_in_order
from duet_device.policy.calibrations import HOW, calibration_of
from duet_device.policy.routing import asks_meanwhile, by_user
from duet_device.question import Question, build_request
from duet_device.servers import Server
from duet_device.settings import (
    DEFAULT_IN_FLIGHT,
    MOST_TIMEOUT,
    ClientSettings,
    QuestionSettings,
    Settings,
)
from duet_device.turn_lock import Stream, TurnLock

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder

log = logging.getLogger("duet_device")

_References = list[Stream]


class Client:
    """Answers questions with a pair's decoder and the signal of the cloud that serves the pair.

    Decoder and connection are opened for the first question, and used again for those that follow;
    `close`, or the end of a `with` block, frees them.

    Several servers (`server="a.example.org,b.example.org"`, or what enrollment named) replace
    each other: where one fails, another continues the signal. `Receipt.outcome` says what happened.

    A client may be used from several threads: it answers one question at a time, and the others
    wait for their turn within their time limit. `close` may be called from any thread at any time:
    it stops the question that is being answered.

    Args:
        pair: name of an installed pair, directory of a pair, or a `Pair`.
        allow_unsigned: load a pair without a trusted signature (not for a `Pair`, which says so
            itself).
        credentials: for the connection; those of this device's identity with the server, if None.
        decoder: a loaded decoder to use; the caller closes it.
        channel: an open channel to use for every server; the caller closes it.
        **settings: fields of `duet_device.settings.Settings`, such as `server` and `budget`.

    Raises:
        ModelProblem: there is no such pair.
        UsageProblem: a setting is out of range.

    Examples:
        >>> from duet_device import Client
        >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
        ...     result = client.ask("Gloria washes 3 cars every hour. How many in 3 hours?")
        >>> result.answer
        '9'
        >>> result.receipt.tokens.signal
        5
    """

    pair: Pair
    """The pair that answers."""
    settings: Settings
    """Settings of a question that changes none of them."""

    def __init__(
        self,
        pair: Pair | Path | str,
        *,
        allow_unsigned: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        decoder: "Decoder | None" = None,
        channel: grpc.Channel | None = None,
        **settings: Unpack[ClientSettings],
    ) -> None:
        if not isinstance(pair, Pair):
            pair = open_pair(str(pair), allow_unsigned=allow_unsigned)
        self.pair = pair
        self.settings = Settings(**settings)
        self.settings.check(pair.manifest)
        self._given_decoder = decoder
        self._decoder: Decoder | None = None
        self._servers = KnownServers(pair.manifest, credentials, channel)
        # The holder owns decoder and servers.
        self._turn = TurnLock(self._free)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._turn.is_closed

    def ask(
        self,
        question: str | Question,
        *,
        deadline: Deadline | None = None,
        **changes: Unpack[QuestionSettings],
    ) -> Result:
        """Answer a question; notes go to the log `duet_device`.

        Args:
            question: as typed, or with private context, redaction or a stored signal.
            deadline: when to stop; `timeout` seconds from now, if None.
            **changes: settings of this question alone.

        Returns:
            The answer, its receipt and timings.

        Raises:
            DeviceError: the question was not answered; see `duet_device.errors`.

        Examples:
            >>> from duet_device import Client
            >>> with Client("private-sums-135m", device_only=True) as client:
            ...     client.ask("How many cars?", timeout=10).receipt.source
            'device'
        """
        result = None
        for event in self.stream(question, deadline=deadline, **changes):
            if isinstance(event, Note):
                log.info(event.text)
            elif isinstance(event, Result):
                result = event
        if result is None:
            raise Interrupted("the client was closed")
        return result

    def stream(
        self,
        question: str | Question,
        *,
        deadline: Deadline | None = None,
        **changes: Unpack[QuestionSettings],
    ) -> Generator[Event]:
        """Answer a question, event by event (`duet_device.events`).

        Closing the stream, or dropping it as `break` does, stops the question at once, in the cloud
        as well. A stream whose client is closed meanwhile ends without a result.

        Args:
            question: as typed, or with private context, redaction or a stored signal.
            deadline: when to stop; `timeout` seconds from the first event asked for, if None.
            **changes: settings of this question alone.

        Returns:
            A generator of events; a `Result` is the last but for notes.

        Raises:
            UsageProblem: the question cannot be asked, or the client is closed.
            DeviceError: from the stream; the question was not answered.

        Examples:
            >>> from duet_device import AnswerText, Client
            >>> with Client("private-sums-135m", device_only=True) as client:
            ...     for event in client.stream("How many cars?"):
            ...         if isinstance(event, AnswerText):
            ...             print(event.text, end="")
            9
        """
        self._turn.check_open()
        settings = self._changed(changes)
        reference: _References = []
        stream = self._answer(self._fitted(question), settings, deadline, reference)
        reference.append(weakref.ref(stream))
        return stream

    def stream_all(
        self,
        questions: Iterable[str | Question | DeviceError],
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        interrupt: threading.Event | None = None,
        **changes: Unpack[QuestionSettings],
    ) -> Generator[tuple[int, Event | DeviceError]]:
        """Answer questions in their order; the signals of the next ones arrive meanwhile.

        A question that fails does not end the others.

        Args:
            questions: read one by one, up to `in_flight` ahead; an error, for a question that could
                not be made, is yielded in its turn.
            in_flight: most questions that were sent and are not answered.
            interrupt: set from any thread to stop all.
            **changes: settings of these questions; `timeout` counts from when each is sent.

        Returns:
            A generator of the question's number, from 0, and an event of it, or its error.

        Raises:
            UsageProblem: a setting is out of range, or the client is closed.

        Examples:
            >>> from duet_device import Client, Result
            >>> with Client("private-sums-135m", device_only=True) as client:
            ...     for number, event in client.stream_all(["How many cars?", "How many?"]):
            ...         if isinstance(event, Result):
            ...             print(number, event.answer)
            0 9
            1 9
        """
        self._turn.check_open()
        if in_flight < 1:
            raise UsageProblem(f"in_flight is {in_flight}: give 1 or more")
        reference: _References = []
        stream = self._answer_all(
            questions, self._changed(changes), in_flight, interrupt or threading.Event(), reference
        )
        reference.append(weakref.ref(stream))
        return stream

    def warm(self) -> None:
        """Load the decoder, connect, and evaluate what every prompt begins with.

        The next question waits for none of these. An unreachable cloud counts as normal.

        Raises:
            ModelProblem: the pair or its decoder cannot be used.
            IdentityProblem: there is no usable identity for the server; the decoder is loaded.
        """
        from duet_device.exchange import warm

        deadline = Deadline(self.settings.timeout)
        with self._turn.taken(deadline, None):
            warm(self._load_decoder(), self.pair.manifest, self.settings, deadline)
            notes: list[Note] = []
            if not self.settings.device_only:
                self._servers.connect(self.settings, deadline, notes)
            for note in notes:
                log.info(note.text)

    def close(self) -> None:
        """Stop the question that is being answered, and free decoder and connection.

        Does nothing the second time.
        """
        self._turn.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(
        self,
        question: Question,
        settings: Settings,
        deadline: Deadline | None,
        stream: _References,
    ) -> Generator[Event]:
        deadline = deadline or Deadline(settings.timeout)
        with self._turn.taken(deadline, stream[0]):
            deadline.check()
            try:
                yield from self._events(question, settings, deadline)
            except ContractError as error:
                raise ModelProblem(str(error)) from error

    def _answer_all(
        self,
        questions: Iterable[str | Question | DeviceError],
        settings: Settings,
        in_flight: int,
        stop: threading.Event,
        stream: _References,
    ) -> Generator[tuple[int, Event | DeviceError]]:
        def begin(question: str | Question) -> Asked:
            deadline = Deadline(settings.timeout, stop=stop)
            return self._begin(self._fitted(question), settings, deadline)

        server = None
        with self._turn.taken(Deadline(MOST_TIMEOUT, stop=stop), stream[0]):
            for number, event in answer_in_order(questions, begin, self._finish, in_flight):
                if isinstance(event, Result):
                    server = event.receipt.server or server
                yield number, event
            # Only now: it closes connections.
            for note in self._servers.renew(server):
                log.info(note.text)

    def _changed(self, changes: QuestionSettings) -> Settings:
        settings = replace(self.settings, **changes)
        if changes:
            settings.check(self.pair.manifest)
        return settings

    def _fitted(self, question: str | Question) -> Question:
        """Return the question as the pair reads it; refuse one that cannot fit."""
        if isinstance(question, str):
            question = Question(question)
        question = question.for_pair(self.pair.manifest)
        question.check_size(self.pair.manifest)
        return question

    def _events(
        self, question: Question, settings: Settings, deadline: Deadline
    ) -> Generator[Event]:
        asked = self._begin(question, settings, deadline)
        server = None
        for event in self._finish(asked):
            if isinstance(event, Result) and event.receipt.source == "duet":
                server = event.receipt.server
            yield event
        # Only now, and only over a link that works: it delays no answer.
        yield from self._servers.renew(server)

    def _begin(self, question: Question, settings: Settings, deadline: Deadline) -> Asked:
        """Send a question, unless the device is to answer it alone."""
        manifest = self.pair.manifest
        request = build_request(question, manifest, settings)
        notes: list[Note] = []
        alone = settings.device_only or question.signal is not None
        if alone or settings.route == "device":
            route = None if alone else by_user(manifest, force=settings.force)
            return Asked(question, settings, deadline, request.request_id, None, (), route)
        calibration = self._gated(notes) if settings.route == "auto" else None
        threshold = calibration.gate if calibration else None

        def ask() -> Link | None:
            servers = self._servers.open(settings, deadline, notes)
            return self._link(servers, request, settings, deadline) if servers else None

        route = None
        if calibration is None or threshold is None:
            link = ask()
        else:
            loaded = self._given_decoder is not None or self._decoder is not None
            link = ask() if asks_meanwhile(threshold, loaded=loaded) else None
            try:
                route = self._judge(question, settings, deadline, calibration)
            except BaseException:
                if link:
                    link.cancel()
                raise
            if route.taken == "cloud":
                link = link or ask()
            elif link:
                link.cancel()
                route = route.model_copy(update={"unused_tokens": self._count(link.held)})
        return Asked(question, settings, deadline, request.request_id, link, tuple(notes), route)

    def _gated(self, notes: list[Note]) -> Calibration | None:
        """Return the pair's calibration if it has a gate; else add a note that says why not."""
        try:
            calibration = calibration_of(self.pair)
        except ModelProblem as error:
            notes.append(Note(f"{error}; the cloud is asked, and the policy's defaults apply"))
            return None
        if calibration and calibration.gate:
            return calibration
        notes.append(
            Note(f"{self.pair.manifest.id} has no gate, the cloud is asked: {HOW} makes one")
        )
        return None

    def _link(
        self,
        servers: list[Server],
        request: ReasonRequest,
        settings: Settings,
        deadline: Deadline,
    ) -> Link:
        manifest = self.pair.manifest
        return Link(
            servers,
            request,
            deadline,
            settings.connect_timeout,
            budget=request.budget or settings.budget_for(manifest),
            vocabulary=manifest.decoder.vocabulary.size,
        )

    def _judge(
        self, question: Question, settings: Settings, deadline: Deadline, calibration: Calibration
    ) -> Route:
        decoder, manifest = self._load_decoder(), self.pair.manifest
        from duet_device.attempt import Exchange
        from duet_device.gate import judge

        return judge(Exchange(question, manifest, settings, decoder, deadline), calibration)

    def _count(self, signal: SignalChunk) -> int:
        """Count the tokens of a signal, in the decoder's vocabulary if it is text."""
        text = signal.text
        return len(self._load_decoder().encode_text(text) if text else signal.tokens.ids)

    def _finish(self, asked: Asked) -> Generator[Event]:
        """Answer a question that was sent; its link is cancelled in the end."""
        link = asked.link
        self._turn.deadline = asked.deadline

        def answer() -> Generator[Event]:
            yield from asked.notes
            # Loaded and imported while the cloud already works.
            decoder = self._load_decoder()
            from duet_device.answer_receipt import with_route
            from duet_device.attempt import Exchange
            from duet_device.exchange import answer

            calibration = None
            try:
                calibration = calibration_of(self.pair)
            except ModelProblem as error:
                if not any(note.text.startswith(str(error)) for note in asked.notes):
                    yield Note(f"{error}; the policy's defaults apply")
            exchange = Exchange(
                asked.question,
                self.pair.manifest,
                asked.settings,
                decoder,
                asked.deadline,
                calibration,
            )
            route = asked.route
            kept = route is not None and route.taken == "device"

            def ask(request: ReasonRequest) -> Link:
                return self._link(self._servers.opened, request, asked.settings, asked.deadline)

            for event in answer(exchange, asked.request_id, None if kept else link, ask):
                unused = link if kept else None
                yield with_route(exchange, event, route, unused) if route else event

        with closing(cancelled(link, answer()) if link else answer()) as events:
            yield from events

    def _load_decoder(self) -> "Decoder":
        if self._given_decoder is not None:
            return self._given_decoder
        if self._decoder is None:
            self._decoder = load_decoder(self.pair, self.settings.threads)
        return self._decoder

    def _free(self) -> None:
        self._servers.close()
        if decoder := self._decoder:
            self._decoder = None
            decoder.close()
