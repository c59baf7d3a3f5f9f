"""The device alone: the small model answers, and nothing leaves the machine."""

import threading
from typing import TYPE_CHECKING

from duet_device.pairs.pair import Pair
from duet_tools.results.questions import Question
from duet_tools.results.record import Asked
from duet_tools.split.modes.base import Asking
from duet_tools.split.modes.split import ask_live, live_record

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


class DeviceAlone:
    """Mode `device-alone`."""

    def __init__(self, asking: Asking, pair: Pair, decoder: "Decoder") -> None:
        self._asking = asking
        self._pair = pair
        self._decoder = decoder

    def connect(self, address: str) -> None:
        """See `Mode`."""

    def ask(self, question: Question, index: int, address: str, stop: threading.Event) -> Asked:
        """See `Mode`."""
        settings = self._asking.of_device(index)
        settings["device_only"] = True
        result = ask_live(question.text, self._asking, self._pair, self._decoder, settings, stop)
        return Asked(live_record(result, self._pair.manifest))
