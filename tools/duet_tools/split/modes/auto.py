"""The calibrated policy: no signal, a part of it, or all of it, as the device judges."""

import threading
from typing import TYPE_CHECKING

from duet_device.errors import CloudUnreachable
from duet_device.pairs.pair import Pair
from duet_device.settings import ClientSettings
from duet_tools.results.questions import Question
from duet_tools.results.record import Asked
from duet_tools.split.modes.base import Asking
from duet_tools.split.modes.split import ask_live, live_record

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


class Auto:
    """Mode `auto`."""

    def __init__(self, asking: Asking, pair: Pair, decoder: "Decoder", budget: int) -> None:
        self._asking = asking
        self._pair = pair
        self._decoder = decoder
        self._budget = budget

    def connect(self, address: str) -> None:
        """See `Mode`."""
        self._asking.connect_cloud(address)

    def ask(self, question: Question, index: int, address: str, stop: threading.Event) -> Asked:
        """See `Mode`."""
        settings: ClientSettings = {
            **self._asking.of_device(index),
            "server": address,
            "budget": self._budget,
            "route": "auto",
        }
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
