"""Judge a question before any signal: can the device answer it alone?

The decoder reads the question as it would alone. Its last hidden state, which a linear probe reads,
costs one decoding step; a draft of the answer costs its tokens, a second one as many again. The
draft is short: where the answer is longer, its start is judged.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from duet_contract.calibration import Calibration
from duet_contract.manifest import Manifest
from duet_contract.receipt import Route
from duet_device.decoder.llama import Decoder
from duet_device.decoder.prompts import build_prompts
from duet_device.errors import ModelProblem
from duet_device.policy.measures import Evidence, measures
from duet_device.policy.routing import AGREEMENT, PROBE
from duet_device.policy.writer import Writer
from duet_device.question import Question

DRAFT_TOKENS = 32
"""Most tokens of a draft."""
# Of the second draft; the first is the most likely one.
_TEMPERATURE, _SEED = 0.7, 1


class Gate:
    """Computes the measures of questions, before any signal.

    Args:
        decoder: its sequence becomes the prompt of an answer alone, and a draft.
        manifest: the pair's.
        check: called between steps; what it raises ends the judgement.
    """

    def __init__(
        self, decoder: Decoder, manifest: Manifest, check: Callable[[], None] = lambda: None
    ) -> None:
        self._decoder = decoder
        self._manifest = manifest
        self._writer = Writer(decoder, manifest, check)

    def read(self, question: Question, budget: int) -> None:
        """Evaluate a question as the decoder alone reads it.

        Raises:
            UsageProblem, ModelProblem: it does not fit.
        """
        self._question = question
        self._prompt = build_prompts(self._decoder, self._manifest, question, budget).alone()
        self._writer.read(self._prompt)

    def state(self) -> NDArray[np.float32]:
        """Return the last hidden state of the question that was read."""
        return self._decoder.state()

    def drafts(self, *, two: bool) -> dict[str, float]:
        """Return the measures of a draft of the answer to the question that was read.

        Args:
            two: whether a second draft is written, and its agreement with the first measured.
        """
        first = self._writer.write(self._question, limit=DRAFT_TOKENS)
        values = [first.value]
        if two:
            # Evaluates the last token alone.
            self._writer.read(self._prompt)
            values.append(
                self._writer.write(
                    self._question, limit=DRAFT_TOKENS, temperature=_TEMPERATURE, seed=_SEED
                ).value
            )
        return measures(Evidence(trace=first.trace, values=tuple(values)))


def judge(gate: Gate, question: Question, budget: int, calibration: Calibration) -> Route:
    """Judge a question by the gate of a calibration, which must have one.

    Raises:
        UsageProblem, ModelProblem: the question does not fit.
    """
    threshold = calibration.gate
    assert threshold is not None
    gate.read(question, budget)
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
