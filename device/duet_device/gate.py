"""Judge a question before any signal: can the device answer it alone?

The decoder reads the question as it would alone. Its last hidden state, which a linear probe reads,
costs one decoding step; a draft of the answer costs its tokens, a second one as many again. The
draft is short: where the answer is longer, its start is judged.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from duet_contract.calibration import Calibration
from duet_contract.receipt import Route
from duet_device.attempt import Attempt, judged_attempt
from duet_device.errors import ModelProblem
from duet_device.exchange import Exchange
from duet_device.policy.measures import measures
from duet_device.policy.routing import AGREEMENT, PROBE

DRAFT_TOKENS = 32
"""Most tokens of a draft."""
# Of the second draft; the first is the most likely one.
_TEMPERATURE, _SEED = 0.7, 1


class Gate:
    """Computes the measures of a question, before any signal.

    Args:
        exchange: the question; its decoder's sequence becomes the prompt of an answer alone, and a
            draft.

    Raises:
        UsageProblem, ModelProblem: the question does not fit.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._prompt = exchange.prompts.alone()
        exchange.become(self._prompt)

    def state(self) -> NDArray[np.float32]:
        """Return the decoder's last hidden state after the question, before any draft."""
        return self._exchange.decoder.state()

    def drafts(self, *, two: bool) -> dict[str, float]:
        """Return the measures of a draft of the answer.

        Args:
            two: whether a second draft is written, and its agreement with the first measured.
        """
        first = self._draft(0.0)
        values = [*first.evidence.values]
        if two:
            # Evaluates the last token alone.
            self._exchange.become(self._prompt)
            values += self._draft(_TEMPERATURE).evidence.values
        return measures(replace(first.evidence, values=tuple(values)))

    def _draft(self, temperature: float) -> Attempt:
        settings = replace(
            self._exchange.settings,
            answer_tokens=DRAFT_TOKENS,
            temperature=temperature,
            seed=_SEED,
        )
        return judged_attempt(replace(self._exchange, settings=settings), None)


def judge(exchange: Exchange, calibration: Calibration) -> Route:
    """Judge a question by the gate of a calibration, which must have one.

    Raises:
        UsageProblem, ModelProblem: the question does not fit.
    """
    threshold = calibration.gate
    assert threshold is not None
    gate = Gate(exchange)
    value: float | None
    if threshold.measure == PROBE:
        value = probe_value(calibration, gate.state())
    else:
        value = gate.drafts(two=threshold.measure == AGREEMENT).get(threshold.measure)
    kept = value is not None and value >= threshold.at_least
    return Route(
        taken="device" if kept else "cloud",
        measure=threshold.measure,
        value=value,
        threshold=threshold.at_least,
        chance=None if value is None else threshold.chance(value),
    )


def probe_value(calibration: Calibration, state: NDArray[np.float32]) -> float:
    """Return the log odds by a calibration's probe that the answer to a question is right.

    Raises:
        ModelProblem: the calibration has no probe for states of this size.
    """
    probe = calibration.probe
    if probe is None or len(probe.weights) != len(state):
        raise ModelProblem(
            f"the calibration of {calibration.pair} has no probe for this decoder: make it again "
            "with: duet-device calibrate DATA"
        )
    return float(np.asarray(probe.weights) @ state) + probe.bias
