"""Answers one question: asks the cloud, evaluates its signal as it arrives, generates the answer.

`answer` is what the command, the bench and other programs call.
"""

import codecs
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

from device.deadline import Deadline
from device.errors import CloudBusy, CloudUnreachable, ModelProblem, UsageProblem
from device.link import Link, open_channel
from device.pair import Pair, load_decoder
from device.settings import Settings
from duet_contract.errors import ContractError, PromptError
from duet_contract.manifest import Manifest
from duet_contract.prompts import (
    MOST_BYTES_PER_TOKEN,
    check_text,
    encode_text,
    prompt_ids,
    split_at_signal,
)
from duet_contract.receipt import Bytes, Milliseconds, Receipt, Source, Tokens, estimate_flops
from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    Done,
    ReasonRequest,
)

if TYPE_CHECKING:
    from device.decoder import Decoder
    from device.reception import Signal


def _ignore(_: str) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """Hears what happens as it happens. `note` may be called from another thread.

    `signal`, `answer`: the next characters. `note`: one line for the user.
    """

    signal: Callable[[str], None] = _ignore
    answer: Callable[[str], None] = _ignore
    note: Callable[[str], None] = _ignore


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
    cloud: Done | None
    drafted: int
    accepted: int


@dataclass(frozen=True)
class Outcome:
    """The receipt of a question, and finer timings."""

    receipt: Receipt
    timings: Timings


def check_question(question: str, manifest: Manifest, settings: Settings) -> None:
    """Refuses what cannot be asked, before anything is loaded or sent.

    Raises:
        UsageProblem: the question is empty, malformed or too long, or the budget out of range.
    """
    try:
        check_text(question, "question")
    except PromptError as error:
        raise UsageProblem(str(error)) from error
    limits = manifest.limits
    size, most = len(question.encode("utf-8")), MOST_BYTES_PER_TOKEN * limits.question
    if size > most:
        raise UsageProblem(
            f"the question has {size} bytes, at most {most} "
            f"({limits.question} tokens) fit this pair"
        )
    if settings.budget is not None and not 1 <= settings.budget <= limits.budget:
        raise UsageProblem(
            f"a budget of {settings.budget} is not possible: this pair takes 1 to {limits.budget}"
        )
    if settings.device_only and settings.require_cloud:
        raise UsageProblem("--device-only and --require-cloud contradict each other")


def build_request(question: str, manifest: Manifest, settings: Settings) -> ReasonRequest:
    """The request for a question's signal, with a request id of its own."""
    encodings = [SIGNAL_ENCODING_TEXT]
    if manifest.shared_vocabulary:
        encodings.insert(0, SIGNAL_ENCODING_TOKEN_IDS)
    return ReasonRequest(
        question=question,
        budget=settings.budget,
        encodings=encodings,
        vocabulary=bytes.fromhex(manifest.decoder.vocabulary.sha256),
        request_id=uuid.uuid4().hex,
        pair=manifest.reference,
        temperature=settings.temperature,
        seed=settings.seed,
    )


def answer(
    question: str,
    pair: Pair,
    settings: Settings | None = None,
    listener: Listener | None = None,
    *,
    decoder: "Decoder | None" = None,
    credentials: grpc.ChannelCredentials | None = None,
    started: float | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Answers a question, with the cloud's signal if there is one.

    Args:
        question: as the user typed it.
        pair: from `device.pair.open_pair`.
        settings: the command's defaults, if None.
        listener: hears signal, answer and notes as they come.
        decoder: one loaded before (`device.pair.load_decoder`); loaded, and closed, here if None.
        credentials: for the link; plaintext if None.
        started: `time.perf_counter()` that milliseconds and timeout count from; now, if None.
        stop: set from any thread to stop the question.

    Raises:
        DeviceError: see `device.errors`; nothing else on purpose.
    """
    settings = settings or Settings()
    deadline = Deadline(settings.timeout, started, stop)
    deadline.check()
    check_question(question, pair.manifest, settings)
    listener = listener or Listener()
    request = build_request(question, pair.manifest, settings)
    link = None
    loaded = None
    try:
        if not settings.device_only:
            link = Link(
                open_channel(settings.server, credentials),
                settings.server,
                request,
                deadline,
                settings.connect_timeout,
                listener.note,
            )
        if decoder is None:
            decoder = loaded = load_decoder(pair, settings.threads)
        work = _Work(question, pair.manifest, settings, listener, decoder, deadline)
        return work.run(link, request.request_id)
    except ContractError as error:
        raise ModelProblem(str(error)) from error
    finally:
        if link:
            link.cancel()
        if loaded:
            loaded.close()


@dataclass
class _Work:
    """One question on a loaded decoder."""

    question: str
    manifest: Manifest
    settings: Settings
    listener: Listener
    decoder: "Decoder"
    deadline: Deadline
    ready: float = 0.0
    prefix: float | None = None
    question_ids: list[int] = field(default_factory=list)

    def run(self, link: Link | None, request_id: str) -> Outcome:
        self.ready = self.deadline.elapsed_ms()
        self.question_ids = self._encode_question()
        signal = self._with_signal(link) if link else None
        if signal is None:
            self._alone()
        return self._generate(link, signal, request_id)

    def _encode_question(self) -> list[int]:
        try:
            ids = encode_text(self.decoder, self.manifest.decoder.vocabulary, self.question)
        except PromptError as error:
            raise UsageProblem(f"the question cannot be asked: {error}") from error
        most = self.manifest.limits.question
        if len(ids) > most:
            raise UsageProblem(f"the question has {len(ids)} tokens, at most {most} fit this pair")
        return ids

    def _with_signal(self, link: Link) -> "Signal | None":
        """Evaluates the prompt with the signal; None if there is none and the device may go on."""
        # llama.cpp is imported while the cloud already works.
        from device.reception import receive_signal

        description = self.manifest.decoder
        before, after = split_at_signal(description.prompt_with_signal)
        vocabulary = description.vocabulary
        prefix = prompt_ids(self.decoder, before, question=self.question_ids)
        suffix = prompt_ids(self.decoder, after)
        try:
            budget = self.settings.budget or self.manifest.defaults.budget
            self._reserve(len(prefix) + budget + len(suffix))
            # The suffix may be empty, and then the first answer token comes from the last piece,
            # or from the prefix where the signal is empty.
            self.decoder.become(prefix, self.deadline.check)
            self.prefix = self.deadline.elapsed_ms()
            return receive_signal(
                link,
                self.decoder,
                vocabulary,
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

    def _alone(self) -> None:
        description = self.manifest.decoder
        ids = prompt_ids(self.decoder, description.prompt_alone, question=self.question_ids)
        self._reserve(len(ids))
        self.decoder.become(ids, self.deadline.check)

    def _reserve(self, prompt: int) -> None:
        """Makes room for `prompt` tokens and the answer, as far as the model goes."""
        most = self.manifest.decoder.context
        if prompt >= most:
            raise ModelProblem(
                f"a prompt of {prompt} tokens leaves no room for an answer: "
                f"the decoder's context has {most}"
            )
        self.decoder.reserve(min(most, prompt + self.manifest.defaults.answer))

    def _generate(self, link: Link | None, signal: "Signal | None", request_id: str) -> Outcome:
        from device.generation import Generation

        description = self.manifest.decoder
        ends = {i for text in description.end_of_answer for i in self.decoder.encode_template(text)}
        temperature = self.settings.temperature
        generation = Generation(
            self.decoder,
            ends=frozenset(ends),
            limit=self.manifest.defaults.answer,
            temperature=self.manifest.defaults.temperature if temperature is None else temperature,
            seed=self.settings.seed,
            draft=self.settings.draft,
            check=self.deadline.check,
        )
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        text: list[str] = []
        count = 0
        first: float | None = None
        for token in generation:
            if first is None:
                first = time.perf_counter()
            count += 1
            characters = utf8.decode(self.decoder.detokenize(token))
            if characters:
                text.append(characters)
                self.listener.answer(characters)
        if rest := utf8.decode(b"", True):
            text.append(rest)
            self.listener.answer(rest)
        end = time.perf_counter()

        def ms(at: float | None) -> float | None:
            return None if at is None else self.deadline.elapsed_ms(at)

        spent = signal.done.signal_tokens if signal else 0
        cut = "+budget" if signal and signal.cut else ""
        source: Source = "duet" if signal else "device"
        receipt = Receipt(
            answer="".join(text),
            signal=signal.text if signal else "",
            source=source,
            pair=self.manifest.reference,
            request_id=request_id,
            finish=generation.finish + cut,
            tokens=Tokens(question=len(self.question_ids), signal=spent, answer=count),
            bytes=Bytes(up=link.up if link else 0, down=link.down if link else 0),
            ms=Milliseconds(
                connect=ms(link.connected) if link else None,
                first_signal=ms(signal.first_piece) if signal else None,
                signal=ms(signal.last_piece) if signal else None,
                first_answer=ms(first),
                total=self.deadline.elapsed_ms(end),
            ),
            flops=estimate_flops(self.manifest, spent, count),
        )
        drafted, accepted = generation.drafted
        return Outcome(
            receipt,
            Timings(
                decoder_ready=self.ready,
                prefix=self.prefix,
                done=ms(signal.done_at) if signal else None,
                cloud=signal.done if signal else None,
                drafted=drafted,
                accepted=accepted,
            ),
        )
