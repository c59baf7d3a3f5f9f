"""Modes of a device that answers while it is asked: by its policy, or alone."""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from duet_device.errors import CloudUnreachable
from duet_device.pairs.pair import Pair
from duet_tools.results.questions import QuestionRow
from duet_tools.split.modes.base import ModeSettings, Reply
from duet_tools.split.modes.split import ask_live, live_record

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


@dataclass(frozen=True)
class DeviceAlone:
    """Mode `device-alone`: the small model answers, and nothing leaves the machine."""

    common: ModeSettings
    """Settings of every question."""
    pair: Pair
    """The pair."""
    decoder: "Decoder"
    """The pair's decoder."""

    def ask(self, question: QuestionRow, index: int, address: str, stop: threading.Event) -> Reply:
        """See `Mode`."""
        settings = self.common.of_device(index)
        settings["device_only"] = True
        result = ask_live(question.text, self.common, self.pair, self.decoder, settings, stop)
        return Reply(live_record(result, self.pair.manifest))


@dataclass(frozen=True)
class Auto:
    """Mode `auto`: no signal, a part of it, or all of it, as the calibrated policy judges."""

    common: ModeSettings
    """Settings of every question."""
    pair: Pair
    """The pair."""
    decoder: "Decoder"
    """The pair's decoder."""
    budget: int
    """Maximum number of signal tokens."""

    def ask(self, question: QuestionRow, index: int, address: str, stop: threading.Event) -> Reply:
        """See `Mode`."""
        settings = self.common.of_split(index, address, self.budget)
        settings["route"] = "auto"
        result = ask_live(question.text, self.common, self.pair, self.decoder, settings, stop)
        receipt = result.receipt
        if receipt.outcome == "alone":
            # Nothing that the policy decided.
            raise CloudUnreachable("the cloud was needed and did not answer")
        record = live_record(result, self.pair.manifest)
        unused = receipt.route.unused_tokens if receipt.route else 0
        record.signal_tokens = receipt.tokens.signal
        record.large_tokens = receipt.tokens.signal + unused
        record.flops = receipt.flops.reasoner
        return Reply(record)
