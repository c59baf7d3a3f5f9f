"""Shows signal, answer and notes while they arrive, and stops a question early.

DUET_PAIR and DUET_SERVER name the pair and the cloud, as for `duet-device ask`.
"""

import os

from duet_device import AnswerText, Client, Note, Result, SignalText

PAIR = os.environ.get("DUET_PAIR", "private-sums-135m")
SERVER = os.environ.get("DUET_SERVER", "127.0.0.1:50151")
QUESTION = (
    "There are 14 adults and 19 children. They form rows of 11 people. How many rows are there?"
)

with Client(PAIR, server=SERVER) as client:
    for event in client.stream(QUESTION):
        match event:
            case SignalText(text):
                print(f"signal: {text!r}")
            case AnswerText(text):
                print(f"answer: {text!r}")
            case Note(text):
                print(f"note: {text}")
            case Result(receipt=receipt):
                print(f"result: {receipt.answer!r} with {receipt.tokens.signal} signal tokens")

    # Leaving the loop closes the stream, which cancels the call and the work of the cloud.
    for event in client.stream(QUESTION):
        if isinstance(event, SignalText):
            print("stopped at the first text of the signal")
            break
