"""Bytes a signal token costs in each encoding, all that a new connection carries included."""

import statistics
import threading
from collections.abc import Sequence

from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
)
from duet_device.errors import DeviceError
from duet_device.settings import Settings
from duet_tools.link.profiles import link_named
from duet_tools.results.questions import Question
from duet_tools.split.modes.base import Asking
from duet_tools.split.modes.split import receive
from duet_tools.split.wire import Ways

ENCODINGS = {"token ids": SIGNAL_ENCODING_TOKEN_IDS, "text": SIGNAL_ENCODING_TEXT}


def bytes_per_token(
    ways: Ways, target: str, asking: Asking, questions: Sequence[Question], budget: int
) -> dict[str, float]:
    """Return bytes down the wire a signal token, by encoding: the median over `questions`.

    An encoding that the pair does not share, or that fails, is left out.
    """
    found = {}
    link = link_named("none")
    for name, encoding in ENCODINGS.items():
        if name == "token ids" and not asking.manifest.shared_vocabulary:
            continue

        def only(request: ReasonRequest, encoding: int = encoding) -> None:
            request.encodings[:] = [encoding]  # type: ignore[list-item]

        costs = []
        with ways.open(target, link, seed=0) as way:
            for question in questions:
                settings = Settings(server=way.address, budget=budget, temperature=0.0)
                try:
                    _, record = receive(question.text, asking, settings, threading.Event(), only)
                except DeviceError:
                    continue
                way.settle(0.0)
                if record.signal_tokens:
                    costs.append(way.taken().down / record.signal_tokens)
        if costs:
            found[name] = statistics.median(costs)
    return found
