"""A device that answers from recorded arrivals, on a clock of its own.

A machine that plays many devices has one processor for all of their decoders. So the arrivals of a
signal are recorded under load, and the device's part is measured afterwards on the idle machine:
every evaluation takes the time that it takes, and begins when its tokens have arrived on the
recorded clock. What `duet_device.signal_stream` does, without waiting for what has come already.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from duet_contract.calibration import Calibration
from duet_contract.encodings import signal_reader
from duet_contract.errors import ContractError
from duet_contract.v1.inference_pb2 import FINISH_REASON_BUDGET, SignalChunk, SignalEnd
from duet_device.deadline import Deadline
from duet_device.errors import CloudUnreachable
from duet_device.question import Question
from duet_device.settings import Settings
from duet_tools.results.record import Record
from duet_tools.split.modes.base import ModeSettings

if TYPE_CHECKING:
    from duet_device.attempt import Attempt
    from duet_device.decoder.llama import Decoder
    from duet_device.exchange import Exchange

# Tokens evaluated between two looks at what has arrived; as in `duet_device.signal_stream`.
STEP = 16


@dataclass(frozen=True)
class Arrived:
    """A signal with the times of its parts."""

    chunks: tuple[tuple[float, SignalChunk], ...]
    """Chunks, each with the milliseconds after which it came."""
    done: SignalEnd
    """End of the signal."""
    done_ms: float
    """Milliseconds after which the end came."""


@dataclass
class ReplayedDevice:
    """Answers on one decoder, one question at a time.

    The same signal of the same question, seen again over another link, is not answered again where
    that gives the same answer: greedily.
    """

    decoder: "Decoder"
    """The pair's decoder."""
    common: ModeSettings
    """Settings of every question."""
    calibration: Calibration | None = None
    """The pair's, which marks answers; None if it has none."""
    _attempts: dict[tuple[str, tuple[int, ...], bool], tuple["Attempt", float]] = field(
        default_factory=dict
    )
    """Answers and when they began, by question, signal and end."""
    _late: dict[tuple[str, tuple[int, ...]], float] = field(default_factory=dict)
    """Milliseconds of a late evaluation, by question and signal."""

    def answer(self, record: Record, question: str, arrived: Arrived, seed: int) -> float:
        """Evaluate the signal on the recorded clock, then answer; complete the question's record.

        Returns:
            The milliseconds of a late evaluation; see `late_ms`.

        Raises:
            CloudUnreachable: the signal cannot be read. ModelProblem: it does not fit.
        """
        from duet_device.attempt import is_doubtful

        exchange = self._exchange(question, seed)
        prompts, queue = exchange.prompts, self._read(arrived)
        signal = [token for _, ids in queue for token in ids]
        queue[-1] = (arrived.done_ms, [*queue[-1][1], *prompts.suffix])
        exchange.reserve(len(prompts.prefix) + len(signal) + len(prompts.suffix))
        self.decoder.keep(0)
        began = time.perf_counter()
        self.decoder.evaluate(prompts.prefix)
        prefix_ms = _since(began)
        clock = self._evaluate(queue, prefix_ms)
        one, ready = self._attempt(question, exchange, signal, arrived.done)
        record.signal, record.answer = self._text(signal), one.text
        record.value = one.value if one.computed else None
        record.finish = one.generation.finish + ("+budget" if record.finish == "budget" else "")
        if one.computed or exchange.judges:
            record.low_confidence = is_doubtful(exchange, one, one.evidence)
        record.question_tokens, record.answer_tokens = prompts.question_tokens, len(one.ids)
        record.prefix_ms = prefix_ms
        # An empty answer has no first token.
        record.first_answer_ms = None if one.first is None else clock + (one.first - ready) * 1e3
        record.total_ms = clock + (one.end - ready) * 1e3
        return self.late_ms(question, signal)

    def late_ms(self, question: str, signal: Sequence[int]) -> float:
        """Measure from a whole signal to the first answer token, on an evaluated prefix."""
        key = (question, tuple(signal))
        if key not in self._late:
            exchange = self._exchange(question)
            prompts = exchange.prompts
            exchange.reserve(len(prompts.prefix) + len(signal) + len(prompts.suffix))
            self.decoder.keep(0)
            self.decoder.evaluate(prompts.prefix)
            began = time.perf_counter()
            self.decoder.evaluate([*signal, *prompts.suffix])
            self.decoder.most_likely()
            self._late[key] = _since(began)
        return self._late[key]

    def _exchange(self, question: str, seed: int = 0) -> "Exchange":
        from duet_device.exchange import Exchange

        manifest = self.common.manifest
        settings = Settings(temperature=self.common.temperature, seed=seed)
        asked, deadline = Question(question).for_pair(manifest), Deadline(self.common.timeout)
        return Exchange(asked, manifest, settings, self.decoder, deadline, self.calibration)

    def _attempt(
        self, question: str, exchange: "Exchange", ids: Sequence[int], done: SignalEnd
    ) -> tuple["Attempt", float]:
        """Return the answer after an evaluated signal, and when it began (`time.perf_counter()`)."""
        from duet_device.attempt import whole_attempt
        from duet_device.signal_stream import Signal

        cut = done.finish_reason == FINISH_REASON_BUDGET
        key = (question, tuple(ids), cut)
        if key not in self._attempts or self.common.temperature > 0:
            signal = Signal(self._text(ids), tuple(ids), done.signal_tokens, cut, done=done)
            began = time.perf_counter()
            self._attempts[key] = whole_attempt(exchange, signal), began
        return self._attempts[key]

    def _text(self, signal: Sequence[int]) -> str:
        text = b"".join(self.decoder.detokenize(token, special=True) for token in signal)
        return text.decode("utf-8", "replace")

    def _read(self, arrived: Arrived) -> list[tuple[float, list[int]]]:
        """Return the decoder's tokens that each arrival completes, with its time; end last."""
        vocabulary = self.common.manifest.decoder.vocabulary
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


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
