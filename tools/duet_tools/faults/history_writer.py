"""`python -m duet_tools.faults.history_writer COUNT`: stores answers, one after the other.

Prints the id of each once it is stored. COUNT 0 continues until the process ends.
"""

import datetime as dt
import itertools
import sys

from duet_contract.receipt import Bytes, Flops, Milliseconds, Receipt, Tokens
from duet_device.history.store import History, Record, SignalKey, StoredSignal
from duet_device.home import home
from duet_device.vault.vault import Vault

_SHA = "ab" * 32
_TOKENS = 64


def record(number: int) -> Record:
    """Return an answer such as `duet-device ask` stores."""
    text = f"signal {number} " * _TOKENS
    return Record(
        at=dt.datetime.now(dt.UTC),
        question=f"question {number}",
        key=SignalKey(
            sent=f"question {number}",
            pair="a@1.0.0",
            vocabulary=_SHA,
            budget=None,
            temperature=None,
            seed=None,
        ),
        context=(),
        signal=StoredSignal(ids=tuple(range(_TOKENS)), text=text, tokens=_TOKENS, cut=False),
        receipt=Receipt(
            answer=str(number),
            signal=text,
            source="duet",
            pair="a@1.0.0",
            request_id=str(number),
            finish="stop",
            tokens=Tokens(question=3, signal=_TOKENS, answer=1, context=0),
            bytes=Bytes(up=100, down=300),
            ms=Milliseconds(connect=1, first_signal=2, signal=3, first_answer=4, total=5),
            flops=Flops(reasoner=1, reasoner_alone=1),
        ),
    )


def main() -> None:
    """Store answers."""
    most = int(sys.argv[1])
    vault, history = Vault.open(create=False), History.of(home(create=False))
    for number in itertools.count():
        if most and number == most:
            return
        print(history.add(vault, record(number)), flush=True)


if __name__ == "__main__":
    main()
