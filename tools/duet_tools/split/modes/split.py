"""The split: the cloud's signal, the device's answer.

One stream at a time, the device answers while the cloud works, as `duet-device ask` does. Where
many devices are played by one machine, only their links are: signals are recorded as they arrive,
and answered one after another once the load is off (`duet_tools.split.modes.replayed`).
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from duet_contract.manifest import Manifest
from duet_contract.quantities import mask
from duet_contract.receipt import estimate_flops
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    ReasonRequest,
    SignalChunk,
    SignalEnd,
)
from duet_device.client import Client
from duet_device.deadline import Deadline
from duet_device.errors import ModelProblem
from duet_device.events import Note, Result
from duet_device.link import Link, Restart
from duet_device.pairs.pair import Pair
from duet_device.policy.calibrations import calibration_of
from duet_device.question import build_request
from duet_device.servers import Server
from duet_device.setting_types import ClientSettings
from duet_device.settings import Settings
from duet_tools.results.questions import QuestionRow
from duet_tools.results.record import Record, per_step
from duet_tools.split.modes.base import ModeSettings, Reply
from duet_tools.split.modes.replayed import Arrived, ReplayedDevice

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


class Split:
    """Mode `duet`."""

    def __init__(
        self, common: ModeSettings, pair: Pair, decoder: "Decoder", budget: int, *, live: bool
    ) -> None:
        self._common = common
        self._pair = pair
        self._decoder = decoder
        self._budget = budget
        self._live = live
        calibration = None
        # Without one that can be used, the device's defaults apply.
        with suppress(ModelProblem):
            calibration = calibration_of(pair)
        self._replayed = ReplayedDevice(decoder, common, calibration)

    def ask(self, question: QuestionRow, index: int, address: str, stop: threading.Event) -> Reply:
        """See `Mode`."""
        settings = self._common.of_split(index, address, self._budget)
        settings["require_cloud"] = True
        if self._live:
            return self._ask_live(question, settings, stop)
        return self._ask_recorded(question, Settings(**settings), index, stop)

    def _ask_live(
        self, question: QuestionRow, settings: ClientSettings, stop: threading.Event
    ) -> Reply:
        result = ask_live(question.text, self._common, self._pair, self._decoder, settings, stop)
        record = live_record(result, self._pair.manifest)

        def late() -> None:
            late_ms = self._replayed.late_ms(question.text, result.signal_ids)
            add_saving(record, late_ms, result.timings.done)

        return Reply(record, late)

    def _ask_recorded(
        self, question: QuestionRow, settings: Settings, index: int, stop: threading.Event
    ) -> Reply:
        arrived, record = receive(question.text, self._common, settings, stop)

        def replay() -> None:
            seed = self._common.seed + index
            late_ms = self._replayed.answer(record, question.text, arrived, seed)
            tokens = record.answer_tokens
            record.device_step_ms = per_step(record.first_answer_ms, record.total_ms, tokens)
            flops = estimate_flops(self._pair.manifest, record.signal_tokens, tokens)
            record.flops = flops.reasoner
            add_saving(record, late_ms, arrived.done_ms)

        return Reply(record, replay)


def ask_live(
    question: str,
    common: ModeSettings,
    pair: Pair,
    decoder: "Decoder",
    settings: ClientSettings,
    stop: threading.Event,
) -> Result:
    """Answer a question through a client of its own.

    The decoder reuses nothing that it evaluated for the previous question.
    """
    decoder.keep(0)
    deadline = Deadline(common.timeout, None, stop)
    with ExitStack() as stack:
        channel = None
        if common.connections.kept and "server" in settings:
            opened = common.connections.channel(settings["server"], common.credentials)
            channel = stack.enter_context(opened)
        client = stack.enter_context(
            Client(
                pair, decoder=decoder, credentials=common.credentials, channel=channel, **settings
            )
        )
        return client.ask(question, deadline=deadline)


def receive(
    question: str,
    common: ModeSettings,
    settings: Settings,
    stop: threading.Event,
    change: Callable[[ReasonRequest], None] = lambda _: None,
) -> tuple[Arrived, Record]:
    """Ask the service and record what arrives, through the device's own link.

    `change`: may alter the request before it is sent.
    """
    deadline = Deadline(settings.timeout, None, stop)
    request = build_request(question, common.manifest, settings)
    change(request)
    with common.connections.channel(settings.server, common.credentials) as channel:
        link = Link(
            [Server(settings.server, channel=channel)],
            request,
            deadline,
            settings.connect_timeout,
            budget=settings.budget_for(common.manifest),
        )
        try:
            arrived = _arrived(link, deadline)
        finally:
            link.cancel()
    chunks = arrived.chunks
    first, last = (chunks[0][0], chunks[-1][0]) if chunks else (None, None)
    connected = None if link.connected is None else deadline.elapsed_ms(link.connected)
    record = Record(
        device="replayed",
        numbers_sent=max(len(mask(sent.question).quantities) for sent in link.requests),
        finish="budget" if arrived.done.finish_reason == FINISH_REASON_BUDGET else "end",
        app_up=link.up,
        app_down=link.down,
        connect_ms=connected,
        first_signal_ms=first,
        signal_ms=last,
        # Until the answer is there, if that comes later.
        total_ms=arrived.done_ms,
        asked_again=len(link.requests) - 1,
    )
    add_cloud(record, arrived.done)
    return arrived, record


def _arrived(link: Link, deadline: Deadline) -> Arrived:
    """Read a link to its end."""
    chunks: list[tuple[float, SignalChunk]] = []
    while True:
        arrival = link.next()
        if isinstance(arrival, Note):
            continue
        if isinstance(arrival, Restart):
            chunks.clear()
            continue
        at = deadline.elapsed_ms(arrival.at)
        if isinstance(arrival.message, SignalEnd):
            return Arrived(tuple(chunks), arrival.message, at)
        chunks.append((at, arrival.message))


def live_record(result: Result, manifest: Manifest) -> Record:
    """Return the record of a question that the device answered itself, from its receipt."""
    computed = manifest.answers == "computed"
    receipt, timings = result.receipt, result.timings
    ms = receipt.ms
    record = Record(
        device="live",
        signal=receipt.signal,
        answer=receipt.answer,
        finish=receipt.finish,
        value=receipt.value if computed else None,
        numbers_sent=receipt.numbers_sent,
        # A receipt without a confidence is of a pair without a threshold.
        low_confidence=(
            receipt.low_confidence if computed or receipt.confidence is not None else None
        ),
        question_tokens=receipt.tokens.question,
        answer_tokens=receipt.tokens.answer,
        app_up=receipt.bytes.up,
        app_down=receipt.bytes.down,
        connect_ms=ms.connect,
        prefix_ms=timings.prefix,
        first_signal_ms=ms.first_signal,
        signal_ms=ms.signal,
        first_answer_ms=ms.first_answer,
        total_ms=ms.total,
        device_step_ms=per_step(ms.first_answer, ms.total, receipt.tokens.answer),
        flops=receipt.flops.reasoner,
    )
    if timings.cloud is not None:
        add_cloud(record, timings.cloud)
    else:
        record.flops = 0.0
    return record


def add_cloud(record: Record, done: SignalEnd) -> None:
    """Add the cloud's own report of its work."""
    record.signal_tokens = record.large_tokens = done.signal_tokens
    record.queue_ms, record.prefill_ms, record.decode_ms = (
        done.queue_ms,
        done.prefill_ms,
        done.decode_ms,
    )
    record.cloud_step_ms = per_step(0.0, done.decode_ms, done.signal_tokens)
    record.cloud_s = (done.prefill_ms + done.decode_ms) / 1e3


def add_saving(record: Record, late_ms: float, done_ms: float | None) -> None:
    """Add the time that evaluation on arrival saved against a late evaluation.

    `late_ms`: from a whole signal to the first answer token. `done_ms`: when the cloud's last
    message came, which alone says that the signal is whole, so that both waits have it.
    """
    if record.signal_ms is None or done_ms is None:
        return
    record.late_ms = max(done_ms, record.prefix_ms or 0.0) - record.signal_ms + late_ms
    if record.first_answer_ms is not None:
        record.saved_ms = record.late_ms - (record.first_answer_ms - record.signal_ms)
