"""The device's client: keeps decoder and connection, and answers one question after another."""

import logging
import threading
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

import grpc

from duet_device.deadline import Deadline
from duet_device.errors import DeviceError, Interrupted, UsageProblem
from duet_device.events import Event, Note, Result
from duet_device.pairs.pair import Pair, open_pair
from duet_device.question import Question
from duet_device.session import Session, fit
from duet_device.setting_types import (
    DEFAULT_IN_FLIGHT,
    MOST_TIMEOUT,
    ClientSettings,
    QuestionSettings,
)
from duet_device.settings import Settings
from duet_device.turn_lock import TurnLock

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder

log = logging.getLogger("duet_device")


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
        >>> result.receipt.value
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
        self._session = Session(pair, self.settings.threads, credentials, decoder, channel)
        # Whose turn it is owns the session.
        self._turn = TurnLock(self._session.close)

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
        settings, fitted = self._changed(changes), fit(question, self.pair)
        return self._turn.stream(
            lambda: deadline or Deadline(settings.timeout),
            lambda limit: self._session.answer(fitted, settings, limit),
        )

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
        if in_flight < 1:
            raise UsageProblem(f"in_flight is {in_flight}: give 1 or more")
        settings = self._changed(changes)
        return self._turn.stream(
            lambda: Deadline(MOST_TIMEOUT, stop=interrupt),
            lambda limit: self._session.answer_all(questions, settings, in_flight, limit),
        )

    def warm(self) -> None:
        """Load the decoder, connect, and evaluate what every prompt begins with.

        The next question waits for none of these. An unreachable cloud counts as normal.

        Raises:
            ModelProblem: the pair or its decoder cannot be used.
            IdentityProblem: there is no usable identity for the server; the decoder is loaded.
        """
        deadline = Deadline(self.settings.timeout)
        with self._turn.taken(deadline):
            self._session.warm(self.settings, deadline)

    def close(self) -> None:
        """Stop the question that is being answered, and free decoder and connection.

        Does nothing the second time.
        """
        self._turn.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _changed(self, changes: QuestionSettings) -> Settings:
        settings = replace(self.settings, **changes)
        if changes:
            settings.check(self.pair.manifest)
        return settings
