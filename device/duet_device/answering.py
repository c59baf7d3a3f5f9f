"""Answers one question: asks the cloud, evaluates its signal as it arrives, generates the answer.

`answer` is what the command, the bench and other programs call.
"""

import codecs
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from duet_contract.errors import ContractError
from duet_contract.manifest import Manifest
from duet_contract.receipt import Bytes, Milliseconds, Receipt, Source, Tokens, estimate_flops
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    ReasonRequest,
    SignalEnd,
)
from duet_device.deadline import Deadline
from duet_device.decoder.prompts import Prompts, build_prompts, check_room
from duet_device.decoder.signal_result import contradicts
from duet_device.errors import CloudBusy, CloudUnreachable, IdentityExpired, ModelProblem
from duet_device.identity.channel import open_channel
from duet_device.identity.credentials import canonical
from duet_device.link import Link
from duet_device.pairs.pair import Pair, load_decoder
from duet_device.question import Question, build_request, check_question
from duet_device.settings import Settings

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder
    from duet_device.history.store import KeptSignal
    from duet_device.signal_stream import Signal


def _ignore(_: object) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """Hears what happens as it happens. `note` may be called from another thread.

    `signal`, `answer`: the next characters. `note`: one line for the user. `sent`: all that left
    the device for this question, once it did.
    """

    signal: Callable[[str], None] = _ignore
    answer: Callable[[str], None] = _ignore
    note: Callable[[str], None] = _ignore
    sent: Callable[[ReasonRequest], None] = _ignore


@dataclass(frozen=True)
class Timings:
    """What the receipt leaves out. Milliseconds since the start; None where it did not happen.

    `decoder_ready`: model loaded. `prefix`: prompt before the signal evaluated. `done`: the cloud's
    last message arrived. `cloud`: that message, with the cloud's own milliseconds.
    `drafted`, `accepted`: tokens guessed for the answer, and those that were right.
    """

    decoder_ready: float
    prefix: float | None
    done: float | None
    cloud: SignalEnd | None
    drafted: int
    accepted: int


@dataclass(frozen=True)
class Outcome:
    """The receipt of a question, finer timings, and the signal in the decoder's tokens."""

    receipt: Receipt
    timings: Timings
    signal_ids: tuple[int, ...] = ()


def answer(
    question: str | Question,
    pair: Pair,
    settings: Settings | None = None,
    listener: Listener | None = None,
    *,
    decoder: "Decoder | None" = None,
    credentials: grpc.ChannelCredentials | None = None,
    channel: grpc.Channel | None = None,
    started: float | None = None,
    stop: threading.Event | None = None,
    kept: "KeptSignal | None" = None,
    renew: bool = True,
) -> Outcome:
    """Answers a question, with the cloud's signal if there is one.

    Args:
        question: as the user typed it, or with private context and redaction.
        pair: from `duet_device.pairs.pair.open_pair`.
        settings: the command's defaults, if None.
        listener: hears signal, answer and notes as they come.
        decoder: one loaded before (`duet_device.pairs.pair.load_decoder`); loaded, and closed, here
            if None.
        credentials: for the link; those of the identity with that server, if None.
        channel: to `settings.server` (`duet_device.identity.channel.open_channel`), for one question
            after the other; the caller closes it. Opened, and closed, here if None.
        started: `time.perf_counter()` that milliseconds and timeout count from; now, if None.
        stop: set from any thread to stop the question.
        kept: a signal that the same question had before; no connection is opened then.
        renew: after an answer of the cloud, renews the identity with that server if it is time
            (seconds, once in a week) and it was used here; failing is only noted.

    Raises:
        DeviceError: see `duet_device.errors`; nothing else on purpose.
    """
    settings = settings or Settings()
    deadline = Deadline(settings.timeout, started, stop)
    deadline.check()
    if isinstance(question, str):
        question = Question(question)
    check_question(question, pair.manifest, settings)
    budget = settings.budget or pair.manifest.defaults.budget
    listener = listener or Listener()
    request = build_request(question.sent, pair.manifest, settings)
    link: Link | None = None
    loaded = None
    told = 0

    def tell_sent() -> None:
        nonlocal told
        if link and link.sent:
            for each in link.requests[told:]:
                told += 1
                listener.sent(each)

    try:
        if not settings.device_only and kept is None:
            opened = channel
            if opened is None:
                opened = _open_channel(settings, credentials, listener, deadline)
            if opened is not None:
                link = Link(
                    opened,
                    canonical(settings.server),
                    request,
                    deadline,
                    settings.connect_timeout,
                    listener.note,
                    keep=channel is not None,
                    budget=budget,
                )
        if decoder is None:
            decoder = loaded = load_decoder(pair, settings.threads)
        ready = deadline.elapsed_ms()
        prompts = build_prompts(decoder, pair.manifest, question, budget)
        work = _Work(question, prompts, pair.manifest, settings, listener, decoder, deadline, ready)
        outcome = work.run(link, request.request_id, kept, tell_sent)
    except ContractError as error:
        raise ModelProblem(str(error)) from error
    finally:
        if link:
            # In this order: nothing leaves any more that was not told.
            link.cancel()
            tell_sent()
        if loaded:
            loaded.close()
    if renew and credentials is None and channel is None and outcome.receipt.source == "duet":
        # Only now, and only over a link that works: nobody waits long for it.
        from duet_device.identity.renewal import renew_if_due

        renew_if_due(settings.server, listener.note)
    return outcome


def _open_channel(
    settings: Settings,
    credentials: grpc.ChannelCredentials | None,
    listener: Listener,
    deadline: Deadline,
) -> grpc.Channel | None:
    """Opens the channel; None if the identity has expired and the device may answer alone."""
    try:
        # The identity may be locked with a passphrase that is asked for.
        with deadline.paused():
            return open_channel(settings.server, credentials)
    except IdentityExpired as error:
        if settings.require_cloud:
            raise
        listener.note(f"{error}; the device answers alone")
        return None


@dataclass
class _Work:
    """One question on a loaded decoder."""

    question: Question
    prompts: Prompts
    manifest: Manifest
    settings: Settings
    listener: Listener
    decoder: "Decoder"
    deadline: Deadline
    ready: float
    prefix: float | None = None

    def run(
        self,
        link: Link | None,
        request_id: str,
        kept: "KeptSignal | None",
        tell_sent: Callable[[], None],
    ) -> Outcome:
        source: Source = "device"
        signal = None
        if kept:
            signal, source = self._with_kept(kept), "history"
        elif link and (signal := self._with_signal(link)):
            source = "duet"
        tell_sent()
        if signal is None:
            self._alone()
        return self._generate(link, signal, source, link.request.request_id if link else request_id)

    def _with_signal(self, link: Link) -> "Signal | None":
        """Evaluates the prompt with the signal; None if there is none and the device may go on."""
        # llama.cpp is imported while the cloud already works.
        from duet_device.signal_stream import receive_signal

        prefix, suffix = self.prompts.prefix, self.prompts.suffix
        try:
            budget = self.settings.budget or self.manifest.defaults.budget
            self._reserve(len(prefix) + budget + len(suffix))
            # The suffix may be empty, and then the first answer token comes from the last chunk,
            # or from the prefix where the signal is empty.
            self.decoder.become(prefix, self.deadline.check)
            self.prefix = self.deadline.elapsed_ms()
            return receive_signal(
                link,
                self.decoder,
                self.manifest.decoder.vocabulary,
                suffix,
                self._reserve,
                self.deadline.check,
                self.listener.signal,
                anticipate=self.settings.anticipate,
            )
        except (CloudUnreachable, CloudBusy) as error:
            if self.settings.require_cloud:
                raise
            self.listener.note(f"{error}; the device answers alone")
            return None

    def _with_kept(self, kept: "KeptSignal") -> "Signal":
        from duet_device.signal_stream import Signal

        ids = [*self.prompts.prefix, *kept.ids, *self.prompts.suffix]
        self._reserve(len(ids))
        self.decoder.become(ids, self.deadline.check)
        self.listener.signal(kept.text)
        reason = FINISH_REASON_BUDGET if kept.cut else FINISH_REASON_END_OF_REASONING
        done = SignalEnd(finish_reason=reason, signal_tokens=kept.tokens)
        return Signal(kept.text, None, None, done, None, tuple(kept.ids))

    def _alone(self) -> None:
        ids = self.prompts.alone()
        self._reserve(len(ids))
        self.decoder.become(ids, self.deadline.check)

    def _reserve(self, prompt: int) -> None:
        """Makes room for `prompt` tokens and the answer, as far as the model goes."""
        check_room(self.manifest, prompt)
        most = self.manifest.decoder.context
        self.decoder.reserve(min(most, prompt + self.manifest.defaults.answer))

    def _generate(
        self, link: Link | None, signal: "Signal | None", source: Source, request_id: str
    ) -> Outcome:
        from duet_device.decoder.generation import Generation

        description = self.manifest.decoder
        ends = {i for text in description.end_of_answer for i in self.decoder.encode_template(text)}
        temperature = self.settings.temperature
        threshold = self.manifest.defaults.confidence
        generation = Generation(
            self.decoder,
            ends=frozenset(ends),
            limit=self.manifest.defaults.answer,
            temperature=self.manifest.defaults.temperature if temperature is None else temperature,
            seed=self.settings.seed,
            draft=self.settings.draft,
            judge=threshold is not None,
            check=self.deadline.check,
        )
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        restorer = self.question.redaction.restorer() if self.question.redaction else None
        text: list[str] = []

        def tell(characters: str, *, last: bool = False) -> None:
            if restorer:
                characters = restorer.feed(characters) + (restorer.finish() if last else "")
            if characters:
                text.append(characters)
                self.listener.answer(characters)

        count = 0
        first: float | None = None
        for token in generation:
            if first is None:
                first = time.perf_counter()
            count += 1
            tell(utf8.decode(self.decoder.detokenize(token)))
        tell(utf8.decode(b"", True), last=True)
        end = time.perf_counter()

        def ms(at: float | None) -> float | None:
            return None if at is None else self.deadline.elapsed_ms(at)

        tokens = signal.done.signal_tokens if signal else 0
        cut = "+budget" if signal and signal.cut else ""
        answer_text = "".join(text)
        # What a cut signal computed last need not be its result.
        doubtful = signal is not None and not signal.cut and contradicts(signal.text, answer_text)
        receipt = Receipt(
            answer=answer_text,
            signal=signal.text if signal else "",
            source=source,
            pair=self.manifest.reference,
            request_id=request_id,
            finish=generation.finish + cut,
            tokens=Tokens(
                question=self.prompts.question_tokens,
                signal=tokens,
                answer=count,
                context=self.prompts.context_tokens,
            ),
            bytes=Bytes(up=link.up if link else 0, down=link.down if link else 0),
            ms=Milliseconds(
                connect=ms(link.connected) if link else None,
                first_signal=ms(signal.first_chunk) if signal else None,
                signal=ms(signal.last_chunk) if signal else None,
                first_answer=ms(first),
                total=self.deadline.elapsed_ms(end),
            ),
            flops=estimate_flops(self.manifest, tokens if source == "duet" else 0, count),
            confidence=generation.confidence,
            low_confidence=doubtful or bool(generation.low_confidence(threshold)),
        )
        drafted, accepted = generation.drafted
        return Outcome(
            receipt,
            Timings(
                decoder_ready=self.ready,
                prefix=self.prefix,
                done=ms(signal.done_at) if signal else None,
                cloud=signal.done if signal and source == "duet" else None,
                drafted=drafted,
                accepted=accepted,
            ),
            signal.ids if signal else (),
        )
