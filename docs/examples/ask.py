"""Asks questions from Python: one client keeps decoder and connection for all of them.

DUET_PAIR and DUET_SERVER name the pair and the cloud, as for `duet-device ask`.
"""

import os

from duet_device import Client, DeviceError

PAIR = os.environ.get("DUET_PAIR", "private-sums-135m")
SERVER = os.environ.get("DUET_SERVER", "127.0.0.1:50151")
QUESTIONS = (
    "There are 14 adults and 19 children. They form rows of 11 people. How many rows are there?",
    "Nina had 40 euros. She bought 3 books for 8 euros each. How much money does she have left?",
)

with Client(PAIR, server=SERVER, timeout=30) as client:
    for question in QUESTIONS:
        try:
            result = client.ask(question)
        except DeviceError as error:
            raise SystemExit(f"not answered: {error}") from error
        receipt = result.receipt
        mark = " (low confidence)" if receipt.low_confidence else ""
        print(f"{receipt.value}{mark}")
        print(
            f"  from {receipt.source}: {receipt.tokens.signal} signal tokens, {receipt.ms.total:.0f} ms"
        )
