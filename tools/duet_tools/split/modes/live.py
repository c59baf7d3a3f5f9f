"""Modes of a device that answers while it is asked: by its policy, or alone."""

import threading
from typing import TYPE_CHECKING

from duet_device.errors import CloudUnreachable
from duet_device.pairs.pair import Pair
from duet_tools.results.questions import Question
from duet_tools.results.record import Asked
from duet_tools.split.modes.base import Asking
from duet_tools.split.modes.split import ask_live, live_record

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


class DeviceAlone:
    """Mode `device-alone`: the small model answers, and nothing leaves the machine."""

    def __init__(self, asking: Asking, pair: Pair, decoder: "Decoder") -> None:
        self._asking, self._pair, self._decoder = asking, pair, decoder

    def connect(self, address: str) -> None:
        """See `Mode`."""

    def ask(self, question: Question, index: int, address: str, stop: threading.Event) -> Asked:
        """See `Mode`."""
        settings = self._asking.of_device(index)
        settings["device_only"] = True
        result = ask_live(question.text, self._asking, self._pair, self._decoder, settings, stop)
        return Asked(live_record(result, self._pair.manifest))


class Auto:
    """Mode `auto`: no signal, a part of it, or all of it, as the calibrated policy judges."""

    def __init__(self, asking: Asking, pair: Pair, decoder: "Decoder", budget: int) -> None:
        self._asking, self._pair, self._decoder = asking, pair, decoder
        self._budget = budget

    def connect(self, address: str) -> None:
        """See `Mode`."""
        self._asking.connect_cloud(address)

    def ask(self, question: Question, index: int, address: str, stop: threading.Event) -> Asked:
        """See `Mode`."""
        settings = self._asking.of_split(index, address, self._budget)
        settings["route"] = "auto"
        result = ask_live(question.text, self._asking, self._pair, self._decoder, settings, stop)
        receipt = result.receipt
        if receipt.outcome == "alone":
            # Nothing that the policy decided.
            raise CloudUnreachable("the cloud was needed and did not answer")
        record = live_record(result, self._pair.manifest)
        unused = receipt.route.unused_tokens if receipt.route else 0
        record.signal_tokens = receipt.tokens.signal
        record.large_tokens = receipt.tokens.signal + unused
        record.flops = receipt.flops.reasoner
        return Asked(record)
