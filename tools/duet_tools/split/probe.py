"""Bytes of a connection, and of a signal token in each encoding."""

import statistics
import threading
from collections.abc import Sequence
from dataclasses import replace

from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
)
from duet_device.errors import DeviceError
from duet_device.settings import Settings
from duet_tools.link.profiles import link_named
from duet_tools.link.relay import Count
from duet_tools.results.questions import QuestionRow
from duet_tools.split.connections import Connections
from duet_tools.split.link_pool import LinkPool
from duet_tools.split.modes.base import ModeSettings
from duet_tools.split.modes.split import receive

ENCODINGS = {"token ids": SIGNAL_ENCODING_TOKEN_IDS, "text": SIGNAL_ENCODING_TEXT}


def handshake_bytes(pool: LinkPool, target: str, common: ModeSettings) -> Count:
    """Return the bytes of a connection without a question, its closing included.

    Raises:
        CloudUnreachable: it does not open in time.
    """
    with pool.open(target, link_named("none"), seed=0) as link:
        replace(common, connections=Connections()).connect_cloud(link.address)
        link.settle(0.0)
        return link.taken()


def bytes_per_token(
    pool: LinkPool, target: str, common: ModeSettings, questions: Sequence[QuestionRow], budget: int
) -> dict[str, float]:
    """Return bytes down the wire a signal token, by encoding: the median over `questions`.

    All that a new connection carries is included. An encoding that the pair does not share, or that
    fails, is left out.
    """
    found = {}
    for name, encoding in ENCODINGS.items():
        if name == "token ids" and not common.manifest.shared_vocabulary:
            continue

        def only(request: ReasonRequest, encoding: int = encoding) -> None:
            request.encodings[:] = [encoding]  # type: ignore[list-item]

        costs = []
        with pool.open(target, link_named("none"), seed=0) as link:
            for question in questions:
                settings = Settings(server=link.address, budget=budget, temperature=0.0)
                try:
                    _, record = receive(question.text, common, settings, threading.Event(), only)
                except DeviceError:
                    continue
                link.settle(0.0)
                if record.signal_tokens:
                    costs.append(link.taken().down / record.signal_tokens)
        if costs:
            found[name] = statistics.median(costs)
    return found
