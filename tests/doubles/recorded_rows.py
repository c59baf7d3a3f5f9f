"""Rows of a calibration, as questions to a pair that does not exist would give them."""

import random

import numpy as np

from duet_device.calibration.rows import Outcome, Row, packed

_SHA = "ab" * 32


def made(count: int, seed: int = 0) -> list[Row]:
    """Questions of which the hidden state says whether the device knows them.

    Half of the signals are enough after 8 of 24 tokens, and a draft there says so.
    """
    random_ = random.Random(seed)
    rows = []
    for number in range(count):
        knows, early = random_.random() < 0.5, random_.random() < 0.5
        state = np.asarray([2.0 * knows - 1 + random_.gauss(0, 0.3), random_.gauss(0, 1)])
        sure = 0.9 if early else 0.3
        rows.append(
            Row(
                id=str(number),
                question=f"{number}?",
                answer="7",
                pair="toy@1.0.0",
                decoder_sha256=_SHA,
                alone=Outcome(
                    text="7" if knows else "8", tokens=0, measures={"margin": random_.random()}
                ),
                state=packed(state),
                stops=(
                    Outcome(text="7" if early else "8", tokens=8, measures={"margin": sure}),
                    Outcome(text="7", tokens=16, measures={"margin": 0.95}),
                ),
                full=Outcome(text="7", tokens=24, measures={"margin": 0.99, "agreement": 1.0}),
            )
        )
    return rows
