"""A device that answers from recorded arrivals, on a clock of its own.

A machine that plays many devices has one processor for all of their decoders. So the arrivals of a
signal are recorded under load, and the device's part is measured afterwards on the idle machine:
every evaluation takes the time that it takes, and begins when its tokens have arrived on the
recorded clock. What `duet_device.signal_stream` does, without waiting for what has come already.
"""

import codecs
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from duet_contract.encodings import signal_reader
from duet_contract.errors import ContractError
from duet_contract.prompts import encode_text, prompt_ids, split_at_signal
from duet_contract.v1.inference_pb2 import FINISH_REASON_BUDGET, SignalChunk, SignalEnd
from duet_device.answer_text import computed_answer
from duet_device.errors import CloudUnreachable, ModelProblem
from duet_device.policy.arithmetic import agrees
from duet_device.question import Question
from duet_tools.split.modes.base import Asking

if TYPE_CHECKING:
    from duet_device.decoder.generation import Generation
    from duet_device.decoder.llama import Decoder

# Tokens evaluated between two looks at what has arrived; as in `duet_device.signal_stream`.
STEP = 16


@dataclass(frozen=True)
class Arrived:
    """A signal's chunks and its end, each with the milliseconds after which it came."""

    chunks: tuple[tuple[float, SignalChunk], ...]
    done: SignalEnd
    done_ms: float


@dataclass(frozen=True)
class Answered:
    """An answer with its times on the recorded clock."""

    signal: str
    text: str
    value: str | None
    """See `duet_tools.results.record.Record`."""
    tokens: int
    finish: str
    low_confidence: bool | None
    """See `duet_tools.results.record.Record`."""
    question_tokens: int
    prefix_ms: float
    first_ms: float | None
    """None if the answer is empty."""
    total_ms: float
    late_ms: float
    """See `ReplayedDevice.late_ms`."""


@dataclass(frozen=True)
class _Spoken:
    """An answer as it was generated; milliseconds from the prompt's last token."""

    text: str
    tokens: int
    finish: str
    low_confidence: bool | None
    first_ms: float | None
    total_ms: float


@dataclass
class ReplayedDevice:
    """Answers on one decoder, one question at a time.

    The same signal of the same question, seen again over another link, is not measured again where
    that gives the same answer: greedily.
    """

    decoder: "Decoder"
    asking: Asking
    _spoken: dict[tuple[str, tuple[int, ...]], _Spoken] = field(default_factory=dict)
    _late: dict[tuple[str, tuple[int, ...]], float] = field(default_factory=dict)

    def answer(self, question: str, arrived: Arrived, seed: int) -> Answered:
        """Evaluate the signal on the recorded clock, then answer.

        Raises:
            CloudUnreachable: the signal cannot be read. ModelProblem: it does not fit.
        """
        asked, prefix, suffix = self._prompt(question)
        queue = self._read(arrived)
        signal = [token for _, ids in queue for token in ids]
        queue[-1] = (arrived.done_ms, [*queue[-1][1], *suffix])
        self._reserve(len(prefix) + len(signal) + len(suffix))
        self.decoder.keep(0)
        began = time.perf_counter()
        self.decoder.evaluate(prefix)
        prefix_ms = _since(began)
        clock = self._evaluate(queue, prefix_ms)
        key = (question, tuple(signal))
        spoken = self._spoken.get(key)
        if spoken is None or self.asking.temperature > 0:
            spoken = self._spoken[key] = self._speak(seed)
        text, value, low = self._judged(question, spoken, signal, arrived.done)
        return Answered(
            signal=self._text(signal),
            text=text,
            value=value,
            tokens=spoken.tokens,
            finish=spoken.finish,
            low_confidence=low,
            question_tokens=len(asked),
            prefix_ms=prefix_ms,
            first_ms=None if spoken.first_ms is None else clock + spoken.first_ms,
            total_ms=clock + spoken.total_ms,
            late_ms=self.late_ms(question, signal, seed),
        )

    def late_ms(self, question: str, signal: Sequence[int], seed: int | None) -> float:
        """Measure from a whole signal to the first answer token, on an evaluated prefix."""
        key = (question, tuple(signal))
        if key not in self._late:
            _, prefix, suffix = self._prompt(question)
            self._reserve(len(prefix) + len(signal) + len(suffix))
            self.decoder.keep(0)
            self.decoder.evaluate(prefix)
            began = time.perf_counter()
            self.decoder.evaluate([*signal, *suffix])
            next(iter(self._generation(seed)), None)
            self._late[key] = _since(began)
        return self._late[key]

    def _judged(
        self, question: str, spoken: _Spoken, signal: list[int], done: SignalEnd
    ) -> tuple[str, str | None, bool | None]:
        """Return text, value and mark of the answer, as `duet_device.answer` would."""
        written, cut = self._text(signal), done.finish_reason == FINISH_REASON_BUDGET
        low = spoken.low_confidence
        if self.asking.manifest.answers == "computed":
            asked = Question(question).for_pair(self.asking.manifest)
            found = computed_answer(asked, written, spoken.text, cut=cut)
            return found.text, found.value, bool(low or found.doubts)
        if low is not None and not cut:
            low = low or agrees(written, spoken.text) is False
        return spoken.text, None, low

    def _text(self, signal: list[int]) -> str:
        text = b"".join(self.decoder.detokenize(token, special=True) for token in signal)
        return text.decode("utf-8", "replace")

    def _prompt(self, question: str) -> tuple[list[int], list[int], list[int]]:
        """Return the question's tokens, and the prompt's before and after the signal."""
        description = self.asking.manifest.decoder
        before, after = split_at_signal(description.prompt_with_signal)
        try:
            read = Question(question).for_pair(self.asking.manifest).asked
            asked = encode_text(self.decoder, description.vocabulary, read)
            prefix = prompt_ids(self.decoder, before, question=asked)
            return asked, prefix, prompt_ids(self.decoder, after)
        except ContractError as error:
            raise ModelProblem(str(error)) from error

    def _read(self, arrived: Arrived) -> list[tuple[float, list[int]]]:
        """Return the decoder's tokens that each arrival completes, with its time; end last."""
        vocabulary = self.asking.manifest.decoder.vocabulary
        try:
            reader = signal_reader(arrived.done.encoding, self.decoder, vocabulary)
            queue = [(at, reader.feed(chunk)) for at, chunk in arrived.chunks]
            return [*queue, (arrived.done_ms, reader.finish())]
        except ContractError as error:
            raise CloudUnreachable(f"the signal cannot be read: {error}") from error

    def _evaluate(self, queue: Sequence[tuple[float, list[int]]], clock: float) -> float:
        """Evaluate what has arrived whenever it has; return the clock when all is evaluated."""
        pending: list[int] = []
        coming = list(queue)
        while coming or pending:
            if not pending:
                clock = max(clock, coming[0][0])
            while coming and coming[0][0] <= clock:
                pending += coming.pop(0)[1]
            step, pending = pending[:STEP], pending[STEP:]
            if step:
                began = time.perf_counter()
                self.decoder.evaluate(step, want_next=not pending)
                clock += _since(began)
        return clock

    def _generation(self, seed: int | None) -> "Generation":
        from duet_device.decoder.generation import Generation

        description = self.asking.manifest.decoder
        decoder = self.decoder
        return Generation(
            decoder,
            ends=frozenset(
                token
                for text in description.end_of_answer
                for token in decoder.encode_template(text)
            ),
            limit=self.asking.manifest.defaults.answer,
            temperature=self.asking.temperature,
            seed=seed,
            prompt_lookup=True,
            judge=self.asking.manifest.defaults.confidence is not None,
        )

    def _speak(self, seed: int) -> _Spoken:
        decoder = self.decoder
        began = time.perf_counter()
        generation = self._generation(seed)
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        first: float | None = None
        text, count = "", 0
        for token in generation:
            if first is None:
                first = _since(began)
            count += 1
            text += utf8.decode(decoder.detokenize(token))
        text += utf8.decode(b"", True)
        total = _since(began)
        low = generation.low_confidence(self.asking.manifest.defaults.confidence)
        return _Spoken(text, count, generation.finish, low, first, total)

    def _reserve(self, prompt: int) -> None:
        most = self.asking.manifest.decoder.context
        if prompt >= most:
            raise ModelProblem(f"a prompt of {prompt} tokens leaves no room for an answer")
        self.decoder.reserve(min(most, prompt + self.asking.manifest.defaults.answer))


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
